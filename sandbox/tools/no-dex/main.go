// No-dex stands in for dex, which the Go module proxy does not hold. Argo CD
// starts it only once single sign-on is configured, which the sandbox never is.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "The sandbox has no dex: single sign-on cannot be tried on it. Use the provider kind.")
	os.Exit(1)
}
