"""What tests of the gateway share: neighbours, an issuer of tokens, gateways, and ways to call them."""
