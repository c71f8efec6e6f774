package redact

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// TestObjects: everything that begins with "hush" is to go, what begins with "keep"
// to stay.
func TestObjects(t *testing.T) {
	for name, text := range map[string]string{
		"secret":    "kind: Secret\nmetadata: {name: keep1}\ntype: keep2\ndata: {keep3: " + b64("hush-data") + "}\nstringData: {keep4: hush-string}\n",
		"config":    "kind: ConfigMap\nmetadata: {name: keep1}\ndata: {keep2: hush-config}\nbinaryData: {keep3: " + b64("hush-binary") + "}\n",
		"applied":   "kind: PriorityClass\nmetadata: {name: keep1, annotations: {kubectl.kubernetes.io/last-applied-configuration: hush-applied, other: keep2}, managedFields: [{manager: hush-manager}]}\n",
		"container": "kind: Pod\nspec: {imagePullSecrets: [{name: keep1}], initContainers: [{env: [{name: keep2, value: hush-init}]}], containers: [{command: [keep3], env: [{name: keep4, value: hush-env}, {name: keep5, valueFrom: {secretKeyRef: {name: keep6, key: keep7}}}, {name: keep8, value: ''}]}], ephemeralContainers: [{env: [{name: a, value: hush-eph}]}]}\n",
		"headers":   "kind: Pod\nspec: {containers: [{livenessProbe: {httpGet: {path: keep1, httpHeaders: [{name: keep2, value: hush-probe}]}}, lifecycle: {preStop: {httpGet: {httpHeaders: [{name: A, value: hush-hook}]}}}}]}\n",
	} {
		var r Redactor
		o := parse(t, text)
		before, _ := json.Marshal(o.Object)
		got, err := json.Marshal(r.Object(o).Object)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(got), "hush") || strings.Contains(string(got), b64("hush")[:4]) {
			t.Errorf("%s: %s", name, got)
		}
		for _, field := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,:[]{}\n", r) }) {
			if strings.HasPrefix(field, "keep") && !strings.Contains(string(got), field) {
				t.Errorf("%s: %s has gone: %s", name, field, got)
			}
		}
		if after, _ := json.Marshal(o.Object); string(after) != string(before) {
			t.Errorf("%s: the object itself was changed: %s", name, after)
		}
	}
}

func TestTextsHaveNoneOfTheKnown(t *testing.T) {
	var r Redactor
	docker := `{"auths":{"registry.example:5000":{"auth":"` + b64("robot:hushpassword") + `","identitytoken":"hush-token","email":"a@b.example"}}}`
	r.Object(parse(t, "kind: Secret\ndata: {.dockerconfigjson: "+b64(docker)+", key: "+b64("-----BEGIN-----\nhush-line-0123456789\n")+", line: "+b64("hush\"quoted\n")+", short: "+b64("no")+"}"))
	r.Object(parse(t, "kind: Pod\nspec: {containers: [{env: [{name: A, value: hush-long-value}, {name: B, value: 'true'}]}]}"))
	for text, want := range map[string]string{
		"pull with hushpassword failed": "pull with [redacted] failed",
		b64("robot:hushpassword"):       "[redacted]",
		"x hush-token y":                "x [redacted] y",
		"said hush-line-0123456789 to":  "said [redacted] to",
		`{"msg":"hush\"quoted"}`:        `{"msg":"[redacted]"}`,
		"args: hush-long-value":         "args: [redacted]",
		"true is no secret":             "true is no secret",
		"no":                            "no",
	} {
		if got := r.Text(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestTextsHaveNoneByTheLookOfIt(t *testing.T) {
	var r Redactor
	for text, want := range map[string]string{
		"password: hunter2":                    "password: [redacted]",
		`{"token": "abc def", "a": 1}`:         `{"token": "[redacted]", "a": 1}`,
		"registry-auth-file: /etc/podd/a.json": "registry-auth-file: /etc/podd/a.json",
		`{"secret": {"secretName": "a"}, "automountServiceAccountToken": false}`: `{"secret": {"secretName": "a"}, "automountServiceAccountToken": false}`,
		`["--password=hunter2"]`:                 `["--password=[redacted]"]`,
		"Authorization: Basic cm9ib3Q6aHVzaA==":  "Authorization: [redacted]",
		`"Authorization":"Bearer ey.J0.x","b":2`: `"Authorization":"[redacted]","b":2`,
		"https://u:p4ss@host/x?y":                "https://u:[redacted]@host/x?y",
		"http://10.0.0.1:8080/":                  "http://10.0.0.1:8080/",
	} {
		if got := r.Text(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
