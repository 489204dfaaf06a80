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

package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync/atomic"
	"time"
)

// expiry remembers when the last certificates of an endpoint stop being valid, in Unix
// seconds; 0 for none yet.
type expiry struct{ unix atomic.Int64 }

// note remembers what a handshake has shown. One that was refused counts, too: that a
// certificate has expired is why.
func (e *expiry) note(conn *tls.Conn, failed error) {
	refused := new(tls.CertificateVerificationError)
	switch {
	case failed == nil:
		e.unix.Store(ExpiryOf(conn.ConnectionState()).Unix())
	case errors.As(failed, &refused) && len(refused.UnverifiedCertificates) > 0:
		e.unix.Store(refused.UnverifiedCertificates[0].NotAfter.Unix())
	}
}

// CertificateExpiry is when the certificate that was seen last stops being valid; zero if
// none was seen, as by a client that is nil. It may be called at any time.
func (c *TLSClient) CertificateExpiry() time.Time {
	if c == nil {
		return time.Time{}
	}
	seconds := c.expiry.unix.Load()
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// ExpiryOf is when the certificates of a connection stop being valid: the first of a
// chain to expire ends it, and the best chain counts. If none was asked for, it is the
// endpoint's own certificate that counts.
func ExpiryOf(state tls.ConnectionState) time.Time {
	if len(state.VerifiedChains) == 0 {
		return state.PeerCertificates[0].NotAfter
	}
	var best time.Time
	for _, chain := range state.VerifiedChains {
		if end := firstExpiry(chain); end.After(best) {
			best = end
		}
	}
	return best
}

func firstExpiry(chain []*x509.Certificate) time.Time {
	first := chain[0].NotAfter
	for _, certificate := range chain[1:] {
		if certificate.NotAfter.Before(first) {
			first = certificate.NotAfter
		}
	}
	return first
}
