"""What this repository deploys: rendered, validated, and held to rules."""
