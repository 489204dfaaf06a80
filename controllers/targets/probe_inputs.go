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

package targets

import (
	"crypto/sha256"
	"crypto/tls"
	"hash"

	"farpoint.dev/farpoint/probes/protocol"
)

// Certificates are what spec.healthCheck.tls refers to.
type Certificates struct {
	// Authorities are PEM certificates to trust; empty means the system's.
	Authorities []byte
	// Client is the certificate that probes present; nil for none.
	Client *tls.Certificate
	// Fault is what is wrong with what is referred to; "" if nothing is. If it is Unavailable, no
	// probe over TLS can be made.
	Fault       string
	Unavailable bool
}

// Login is what spec.healthCheck.credentialsSecretRef leads to.
type Login struct {
	// Credentials are nil if none are referred to, or if there are none to be used.
	Credentials *protocol.Credentials
	// Fault is what is wrong with the Secret that is referred to; "" if nothing is.
	Fault string
}

// digestCredentials makes the identities of probes differ that log in differently. Only digests
// of the credentials are kept.
func digestCredentials(into hash.Hash, credentials *protocol.Credentials) {
	for _, part := range []string{credentials.Username, credentials.Password, credentials.Token} {
		sum := sha256.Sum256([]byte(part)) // of a fixed length, so that nothing moves from one part to the next
		into.Write(sum[:])
	}
}
