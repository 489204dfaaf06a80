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

package probes

import (
	"fmt"
)

// LoginMethod is one way in which a probe proves to a server who it is.
type LoginMethod uint8

const (
	// LoginAuthorization is an Authorization header, Basic or Bearer.
	LoginAuthorization LoginMethod = iota + 1
	// LoginRedisAuth is Redis' AUTH.
	LoginRedisAuth
	// LoginPostgresPassword is PostgreSQL's AuthenticationCleartextPassword, by which it also
	// asks for passwords that it checks by LDAP, RADIUS or PAM.
	LoginPostgresPassword
	// LoginPostgresMD5 is PostgreSQL's AuthenticationMD5Password.
	LoginPostgresMD5
	// LoginPostgresSCRAM is SCRAM-SHA-256.
	LoginPostgresSCRAM
	// LoginPostgresWeakSCRAM is SCRAM-SHA-256 with so few iterations that the password could be
	// guessed from the answer.
	LoginPostgresWeakSCRAM
	// LoginMySQLClear is mysql_clear_password.
	LoginMySQLClear
	// LoginMySQLSHA256 is sha256_password.
	LoginMySQLSHA256
	// LoginMySQLCachingFast is caching_sha2_password while the server has the password in its
	// cache.
	LoginMySQLCachingFast
	// LoginMySQLCachingFull is caching_sha2_password otherwise: the server asks for the password
	// itself, encrypted by TLS or with a key that the server sends.
	LoginMySQLCachingFull
	// LoginMySQLNative is mysql_native_password.
	LoginMySQLNative
	// LoginMySQLEd25519 is client_ed25519.
	LoginMySQLEd25519
)

// loginRule says whether credentials are sent to a server that has not proved who it is.
type loginRule uint8

const (
	// withheld means never. It is the rule for methods that the table does not list.
	withheld loginRule = iota
	// withheldUnlessAllowed means only if Definition.SendCredentialsToUnverifiedServers is set.
	withheldUnlessAllowed
	// Sent means always: the response answers one challenge and cannot be replayed. A weak password
	// can still be guessed from it, as from a stolen table of hashes.
	Sent
)

// LoginMethods lists every way to log in, with the rule for servers that have not proved who
// they are. With servers that have, probes use all of them. The user guide has the same table.
var LoginMethods = map[LoginMethod]struct {
	Schemes, Name string
	Rule          loginRule
}{
	LoginAuthorization:     {"http, https, grpc, grpcs", "Authorization header", withheldUnlessAllowed},
	LoginRedisAuth:         {"redis, rediss", "AUTH", withheldUnlessAllowed},
	LoginPostgresPassword:  {"postgres", "clear text", withheld},
	LoginPostgresMD5:       {"postgres", "MD5", withheld}, // what is stored is all that it takes to log in
	LoginPostgresSCRAM:     {"postgres", "SCRAM-SHA-256", Sent},
	LoginPostgresWeakSCRAM: {"postgres", "SCRAM-SHA-256 with fewer than 4,096 iterations", withheld},
	LoginMySQLClear:        {"mysql", "mysql_clear_password", withheld},
	LoginMySQLSHA256:       {"mysql", "sha256_password", withheld},
	LoginMySQLCachingFast:  {"mysql", "the fast path of caching_sha2_password", Sent},
	LoginMySQLCachingFull:  {"mysql", "the full exchange of caching_sha2_password", withheld},
	LoginMySQLNative:       {"mysql", "mysql_native_password", Sent},
	LoginMySQLEd25519:      {"mysql", "client_ed25519", Sent},
}

// MaySend reports whether a probe may answer a server by this method.
func (m LoginMethod) MaySend(verified, allowed bool) bool {
	if verified {
		return true
	}
	switch LoginMethods[m].Rule {
	case Sent:
		return true
	case withheldUnlessAllowed:
		return allowed
	}
	return false
}

// Message is what users read when the method was asked for and not used.
func (m LoginMethod) Message() string {
	if m == 0 {
		return reasons[ReasonCredentialsWithheld].sentence
	}
	advice := "have its certificate verified (healthCheck.tls, postgres.sslMode: VerifyFull), or store the user's password for SCRAM-SHA-256"
	if LoginMethods[m].Schemes == "mysql" {
		advice = "have its certificate verified (healthCheck.tls, mysql.sslMode: VerifyFull), or create the user with mysql_native_password or ed25519"
	}
	return fmt.Sprintf("credentials withheld: the server asks for them by %s, and its certificate was not verified: %s", LoginMethods[m].Name, advice)
}
