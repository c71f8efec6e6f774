package registry

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

// Credential is what a registry is shown: a user and a password, or no user and
// an identity token. The zero value is nobody.
type Credential struct{ User, Secret string }

// Format implements fmt.Formatter: a credential is never printed.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(credential)") }

// redact takes a credential out of a text that came from elsewhere.
func (c Credential) redact(text string) string {
	if c.Secret == "" {
		return text
	}
	coded := base64.StdEncoding.EncodeToString([]byte(c.User + ":" + c.Secret))
	return strings.NewReplacer(coded, "(credential)", c.Secret, "(credential)").Replace(text)
}
