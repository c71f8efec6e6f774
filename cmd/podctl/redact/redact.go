// Package redact takes secrets out of what is to be shown to strangers: out of the
// objects that hold them, and out of any text in which they come up again.
//
// podctl imports it.
package redact

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Shortest is how long a secret, or an environment variable's value, is at least to
// be looked for in texts: what is shorter comes up in them by chance.
const (
	shortestSecret = 6
	shortestValue  = 8
	shortestLine   = 16
)

// Removed stands in a text where a secret was.
const Removed = "[redacted]"

// Redactor takes out the secrets it knows. The zero value knows none. It is filled
// first, by Object and Docker, and asked then, by Text.
type Redactor struct {
	known map[string]bool
}

// Object returns a copy of an object without what may be secret: the values of
// Secrets and ConfigMaps, of environment variables and HTTP headers, and of
// annotations that hold the object as it was applied. Names and sizes stay. What was
// taken out is known from then on, but for ConfigMaps' values.
func (r *Redactor) Object(o *unstructured.Unstructured) *unstructured.Unstructured {
	o = o.DeepCopy()
	for name, value := range o.GetAnnotations() {
		if strings.Contains(name, "last-applied") {
			_ = unstructured.SetNestedField(o.Object, size(value), "metadata", "annotations", name) // it is a map: it has them
		}
	}
	o.SetManagedFields(nil)
	switch o.GetKind() {
	case "Secret":
		r.values(o.Object, "data", r.encoded)
		r.values(o.Object, "stringData", r.secret)
	case "ConfigMap":
		r.values(o.Object, "data", func(string) {})
		r.values(o.Object, "binaryData", func(string) {})
	default:
		r.walk(o.Object)
	}
	return o
}

// values replaces every value of a map of texts.
func (r *Redactor) values(o map[string]any, field string, learn func(string)) {
	values, ok := o[field].(map[string]any)
	if !ok {
		return
	}
	for name, value := range values {
		text, _ := value.(string)
		learn(text)
		values[name] = size(text)
	}
}

// walk looks for environment variables and headers at any depth.
func (r *Redactor) walk(at any) {
	switch at := at.(type) {
	case []any:
		for _, item := range at {
			r.walk(item)
		}
	case map[string]any:
		for key, inner := range at {
			if key == "env" || key == "httpHeaders" {
				r.named(inner)
			}
			r.walk(inner)
		}
	}
}

// named replaces the values of a list of names and values.
func (r *Redactor) named(list any) {
	items, _ := list.([]any)
	for _, item := range items {
		pair, ok := item.(map[string]any)
		if !ok {
			continue
		}
		if value, ok := pair["value"].(string); ok && value != "" {
			r.learn(value, shortestValue)
			pair["value"] = size(value)
		}
	}
}

// taken is how what stands for a value begins.
const taken = "[redacted"

func size(text string) string { return fmt.Sprintf("%s: %d bytes]", taken, len(text)) }

// encoded learns a value of a Secret's data.
func (r *Redactor) encoded(text string) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		raw = []byte(text)
	}
	r.secret(string(raw))
}

// secret learns a secret, line by line if it has several, and what is in it if it
// has credentials of registries.
func (r *Redactor) secret(text string) {
	r.learn(text, shortestSecret)
	r.learn(strings.TrimSpace(text), shortestSecret)
	if lines := strings.Split(text, "\n"); len(lines) > 1 {
		for _, line := range lines {
			r.learn(strings.TrimSpace(line), shortestLine)
		}
	}
	r.Docker([]byte(text))
}

// Docker learns the credentials in a Docker configuration file; what is none has
// none.
func (r *Redactor) Docker(text []byte) {
	var file struct {
		Auths map[string]map[string]any `json:"auths"`
	}
	if json.Unmarshal(text, &file) != nil {
		return
	}
	for _, fields := range file.Auths {
		for name, value := range fields {
			secret, ok := value.(string)
			if !ok || name == "email" || name == "username" {
				continue
			}
			r.learn(secret, shortestSecret)
			if pair, err := base64.StdEncoding.DecodeString(secret); err == nil && name == "auth" {
				_, password, _ := strings.Cut(string(pair), ":")
				r.learn(password, shortestSecret)
			}
		}
	}
}

// learn knows a text from now on, as it is and as others write it.
func (r *Redactor) learn(text string, shortest int) {
	if len(text) < shortest {
		return
	}
	if r.known == nil {
		r.known = map[string]bool{}
	}
	r.known[text] = true
	r.known[base64.StdEncoding.EncodeToString([]byte(text))] = true
	if quoted, err := json.Marshal(text); err == nil {
		r.known[strings.Trim(string(quoted), `"`)] = true
	}
}

// What is a secret by what stands before it.
var (
	quoted   = regexp.MustCompile(`(?i)((?:password|passwd|secret|token|api-?key|credentials)["']?\s*[:=]\s*")([^"\n]*)`)
	bare     = regexp.MustCompile(`(?i)((?:password|passwd|secret|token|api-?key|credentials)["']?\s*[:=]\s*)([^\s"',{}\[\]]+)`)
	header   = regexp.MustCompile(`(?i)(authorization["']?\s*[:=]\s*["']?)((?:basic|bearer)\s+)?[^\s"',}]+`)
	userinfo = regexp.MustCompile(`(\w+://[^\s:/@"']+):[^\s/@"']+@`)
)

// hide replaces what an expression's second group has found. What stands for a value
// already stays, and what is no text: JSON is to stay JSON.
func hide(expression *regexp.Regexp, text string) string {
	return expression.ReplaceAllStringFunc(text, func(found string) string {
		m := expression.FindStringSubmatch(found)
		if strings.HasPrefix(m[2], taken) || slices.Contains([]string{"", "true", "false", "null"}, m[2]) {
			return found
		}
		return m[1] + Removed
	})
}

// Text is a text without the secrets that are known, without what follows words such
// as "password:" and "Authorization:", and without passwords in URLs.
func (r *Redactor) Text(text string) string {
	if len(r.known) > 0 {
		var pairs []string
		for _, secret := range r.longestFirst() {
			pairs = append(pairs, secret, Removed)
		}
		text = strings.NewReplacer(pairs...).Replace(text)
	}
	text = hide(bare, hide(quoted, text))
	text = header.ReplaceAllString(text, "${1}"+Removed)
	return userinfo.ReplaceAllString(text, "${1}:"+Removed+"@")
}

// longestFirst, since one may begin with another.
func (r *Redactor) longestFirst() []string {
	all := make([]string, 0, len(r.known))
	for secret := range r.known {
		all = append(all, secret)
	}
	slices.SortFunc(all, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return all
}
