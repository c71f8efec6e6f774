package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// auth is one entry of a Docker configuration file.
type auth struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Auth     string `json:"auth"`
	Token    string `json:"identitytoken"`
}

// credential is a token, else what auth holds, else a user name and a password.
func (a auth) credential() (Credential, error) {
	switch {
	case a.Token != "":
		return Credential{"", a.Token}, nil
	case a.Auth == "":
		return Credential{a.Username, a.Password}, nil
	}
	// Some tools write it without padding, which a kubelet takes as well.
	plain, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(a.Auth), "="))
	user, secret, ok := strings.Cut(string(plain), ":")
	if err != nil || !ok {
		return Credential{}, errors.New("auth is not base64 of USER:PASSWORD")
	}
	return Credential{user, strings.TrimRight(secret, "\x00")}, nil
}

// readDockerConfig reads a dockerconfigjson value, or one of the older dockercfg,
// into credentials by what they are for. Entries without any are left out:
// docker writes them for what a helper of its own keeps. Its errors tell
// nothing of the content.
func readDockerConfig(raw []byte) (map[string]Credential, error) {
	var file struct {
		Auths map[string]auth `json:"auths"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, notDockerConfig(err)
	}
	if file.Auths == nil {
		// A newer file without auths has other keys, which are no registries.
		var old map[string]json.RawMessage
		if err := json.Unmarshal(raw, &old); err != nil {
			return nil, notDockerConfig(err)
		}
		file.Auths = oldAuths(old)
	}
	creds := map[string]Credential{}
	for key, a := range file.Auths {
		cred, err := a.credential()
		if err != nil {
			return nil, fmt.Errorf("the entry %q: %w", key, err)
		}
		if cred != (Credential{}) {
			creds[key] = cred
		}
	}
	return creds, nil
}

func oldAuths(entries map[string]json.RawMessage) map[string]auth {
	auths := map[string]auth{}
	for key, raw := range entries {
		var a auth
		if json.Unmarshal(raw, &a) == nil {
			auths[key] = a
		}
	}
	return auths
}

// leaves tells whether a Docker configuration leaves the credentials of a
// repository to a program of Docker's.
func leaves(raw []byte, repository string) bool {
	var file struct {
		Auths       map[string]auth   `json:"auths"`
		Helpers     map[string]string `json:"credHelpers"`
		HelperOfAll string            `json:"credsStore"`
	}
	if json.Unmarshal(raw, &file) != nil {
		return false
	}
	ring := keyring{}
	for key := range file.Helpers {
		ring.add(map[string]Credential{key: {}})
	}
	for key, a := range file.Auths {
		if a == (auth{}) && file.HelperOfAll != "" {
			ring.add(map[string]Credential{key: {}})
		}
	}
	return len(ring.lookup(repository)) > 0
}

// notDockerConfig keeps of an error of encoding/json what quotes nothing.
func notDockerConfig(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("it is not JSON (at byte %d)", syntax.Offset)
	}
	return errors.New("its JSON has another form")
}
