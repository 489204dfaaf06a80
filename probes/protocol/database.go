/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package protocol

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"farpoint.dev/farpoint/probes"
)

// The probes of databases have this in common.

// maxDatabaseBytes is how much is read from a database in one probe. It says a few hundred
// bytes if all is well.
const maxDatabaseBytes = 64 << 10

// bounded reads so much and no more of what a server sends.
type bounded struct {
	from io.Reader
	left int
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, protocolError(errTooMuch)
	}
	n, err := b.from.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// fault is an error of which the reason says all.
func fault(reason probes.Reason) error {
	return &probes.ReasonError{Reason: reason, Err: errors.New(reason.String())}
}

// errWrongRole is the error of a server that has another role than the one that is asked for, by
// its own answer to somebody whom it has let in.
var errWrongRole error = wrongRole{}

type wrongRole struct{}

func (wrongRole) Error() string { return "the server has another role" }

// ProbeResult implements probes.ResultError: the server works.
func (wrongRole) ProbeResult() probes.Result { return probes.IneligibleResult(probes.ReasonRole) }

// withDefaultPort is the definition with the port of the scheme for an endpoint that has
// no TCP port of its own.
func (d Definition) withDefaultPort(port uint16) Definition {
	if d.Port == 0 {
		d.Port = port
	}
	return d
}

// databaseOf is the name of the database in a URL; empty if it has none.
func databaseOf(u *url.URL) (string, error) {
	name := strings.TrimPrefix(u.Path, "/")
	if strings.ContainsAny(name, "/\x00") || u.Fragment != "" {
		return "", fmt.Errorf("healthCheckURL has more in its path than the name of a database: write %s://host:port/database", u.Scheme)
	}
	return name, nil
}

// checkDatabaseLogin returns an error if a check asks for more than a server tells without a login.
func checkDatabaseLogin(u *url.URL, user string, logsIn, asks bool) error {
	switch {
	case logsIn && user == "":
		return fmt.Errorf("healthCheck.credentialsSecretRef: the Secret has no username, and the URL no user: add the key, or write %s://user@host", u.Scheme)
	case asks && !logsIn:
		return fmt.Errorf("healthCheck.%[1]s has a check that needs a login: write %[1]s://user@host,"+
			" or name a Secret in healthCheck.credentialsSecretRef", u.Scheme)
	}
	return nil
}

// login is who logs in: the user of the URL or of the Secret, and the Secret's password.
// known is false if nobody does.
func (d Definition) login(u *url.URL) (user, password string, known bool, err error) {
	user = u.User.Username()
	if d.Credentials == nil {
		return user, "", user != "", nil
	}
	switch {
	case d.Credentials.Password == "":
		err = fmt.Errorf("healthCheck.credentialsSecretRef: the Secret has a token, which %s does not use: add the key password", u.Scheme)
	case user == "":
		user = d.Credentials.Username
	case d.Credentials.Username != "" && d.Credentials.Username != user:
		err = errors.New("healthCheckURL has another user than the Secret in healthCheck.credentialsSecretRef: remove the user from the URL")
	}
	return user, d.Credentials.Password, true, err
}
