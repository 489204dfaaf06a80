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
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"runtime"
	"sync"
	"time"
	"weak"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/cpulimit"
)

// Bounds of how long handshakes resume the session of a full one. A resumed handshake costs far
// less, but shows the certificate of the full one, so that a replaced certificate is noticed late
// by at most these bounds. (crypto/tls notices an expired one at once.)
const (
	// FullHandshakeEvery is the number of handshakes of which one is made in full.
	FullHandshakeEvery = 20
	// maxSessionAge is for endpoints that are probed rarely: at intervals of 10 minutes or more,
	// all handshakes are full, which is cheap enough.
	maxSessionAge = 10 * time.Minute
)

// TLSClient is what the probes of one host need for their handshakes.
type TLSClient struct {
	Config *tls.Config
	// resuming is the config for resumed sessions. It leaves out the post-quantum key exchange,
	// which costs more than all the rest: the session's secret, from the full handshake, which
	// used it, protects the new keys as well.
	resuming *tls.Config
	session  *session
	expiry   expiry
	// minValidity is how long certificates must still be valid; 0 means that being valid now is
	// enough.
	minValidity time.Duration
}

var classicCurves = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}

// NewTLSClient prepares a client for a host; nil settings mean the defaults. The host
// is a name or an address: for an address, the certificate must hold it as an IP
// address, and no SNI is sent. The protocols are those of ALPN.
func (d *Dialer) NewTLSClient(settings *TLSSettings, host string, protocols ...string) (*TLSClient, error) {
	if settings == nil {
		settings = &TLSSettings{}
	}
	session := &session{}
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         host,
		InsecureSkipVerify: settings.InsecureSkipVerify, // the user asked for it
		NextProtos:         protocols,
		ClientSessionCache: session,
	}
	if settings.ServerName != "" {
		config.ServerName = settings.ServerName
	}
	if settings.ClientCertificate != nil {
		config.Certificates = []tls.Certificate{*settings.ClientCertificate}
	}
	if len(settings.CABundle) > 0 {
		roots, err := d.Roots.of(settings.CABundle)
		if err != nil {
			return nil, err
		}
		config.RootCAs = roots
	}
	resuming := config.Clone()
	resuming.CurvePreferences = classicCurves
	return &TLSClient{Config: config, resuming: resuming, session: session, minValidity: settings.MinValidity}, nil
}

// VerifiesServer reports whether a handshake proves who the server is: whether the
// certificate must be valid for its name. Without TLS, nothing is proved.
func (c *TLSClient) VerifiesServer() bool { return c != nil && !c.Config.InsecureSkipVerify }

// DisableResumption makes every handshake a full one, for probes that check the certificate each
// time.
func (c *TLSClient) DisableResumption() { c.Config.ClientSessionCache = nil }

// SkipHostnameVerification accepts any certificate of a trusted authority, whatever its name.
func (c *TLSClient) SkipHostnameVerification() {
	verify := func(state tls.ConnectionState) error {
		options := x509.VerifyOptions{Roots: c.Config.RootCAs, Intermediates: x509.NewCertPool()}
		for _, other := range state.PeerCertificates[1:] {
			options.Intermediates.AddCert(other)
		}
		if _, err := state.PeerCertificates[0].Verify(options); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
		}
		return nil
	}
	for _, config := range []*tls.Config{c.Config, c.resuming} {
		config.InsecureSkipVerify, config.VerifyConnection = true, verify
	}
}

// Handshake starts TLS on the connection, whose deadline it keeps.
func (c *TLSClient) Handshake(ctx context.Context, conn Stream) (*tls.Conn, error) {
	// The end of the handshake and the request are two writes, and the second must not
	// wait for the first one's acknowledgement.
	if err := conn.SetNoDelay(true); err != nil {
		return nil, err
	}
	config := c.Config
	if c.session.next(time.Now()) { //nolint:forbidigo // sessions age by the clock, as in crypto/tls
		config = c.resuming
	}
	var client *tls.Conn
	err := cpulimit.ComputeOver(ctx, FixedDeadline{conn}, func(conn net.Conn) error {
		client = tls.Client(conn, config)
		// Not HandshakeContext, which starts a goroutine: the connection's deadline
		// is the context's already.
		err := client.Handshake() //nolint:noctx // see above
		c.expiry.note(client, err)
		return err
	})
	if err != nil {
		return nil, &probes.ReasonError{Reason: probes.ReasonTLSHandshake, Err: err}
	}
	//nolint:forbidigo // certificates are valid by the calendar, as crypto/tls reads it
	if c.minValidity > 0 && time.Until(c.CertificateExpiry()) < c.minValidity {
		_ = client.CloseWrite() // close_notify; it does not matter whether it arrives
		return nil, errExpiring
	}
	return client, nil
}

var errExpiring = &probes.ReasonError{
	Reason: probes.ReasonCertificateExpiring,
	Err:    errors.New("certificate expires too soon"),
}

// EndTLS ends a connection with TLS. Servers log a truncated connection unless they get a
// close_notify, and the probe must read theirs, too.
func EndTLS(ctx context.Context, conn Stream, client *tls.Conn, ending Ending) {
	if ending.Needed() {
		LimitReading(ctx, conn, MaxLinger)
		discard(client, ending.Bytes())
	}
	_ = client.CloseWrite()
	CloseAfterResponse.Apply(ctx, conn)
}

// FixedDeadline keeps crypto/tls, which sets a deadline for its close_notify, and database clients
// from changing the deadline.
type FixedDeadline struct{ net.Conn }

// SetDeadline does nothing.
func (FixedDeadline) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (FixedDeadline) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (FixedDeadline) SetWriteDeadline(time.Time) error { return nil }

// session remembers the session of one prober. It is not shared with probers of
// other endpoints, although they may use the same server name: a session of one
// endpoint says nothing about the certificate of another. It needs no lock, since
// a prober makes one probe at a time.
type session struct {
	state *tls.ClientSessionState
	// handshakes counts those since the last one in full, which began at fullAt.
	handshakes int
	fullAt     time.Time
}

// next prepares for a handshake and reports whether it may resume the session.
func (s *session) next(now time.Time) bool {
	s.handshakes++
	if s.handshakes >= FullHandshakeEvery || now.Sub(s.fullAt) >= maxSessionAge {
		s.state = nil
	}
	if s.state == nil {
		s.handshakes, s.fullAt = 0, now
	}
	return s.state != nil
}

// Get implements tls.ClientSessionCache.
func (s *session) Get(string) (*tls.ClientSessionState, bool) { return s.state, s.state != nil }

// Put implements tls.ClientSessionCache.
func (s *session) Put(_ string, state *tls.ClientSessionState) { s.state = state }

// rootPools shares parsed CA bundles between all probers with the same bundle, for as long as one
// of them is in use.
type rootPools struct {
	// mu guards pools. No I/O happens under it.
	mu    sync.Mutex
	pools map[bundleKey]weak.Pointer[x509.CertPool]
}

type bundleKey [sha256.Size]byte

func (r *rootPools) of(bundle []byte) (*x509.CertPool, error) {
	key := bundleKey(sha256.Sum256(bundle))
	r.mu.Lock()
	defer r.mu.Unlock()
	if pool := r.pools[key].Value(); pool != nil {
		return pool, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bundle) {
		return nil, errors.New("healthCheck.tls: the CA bundle contains no certificate: write PEM, with BEGIN CERTIFICATE lines")
	}
	if r.pools == nil {
		r.pools = map[bundleKey]weak.Pointer[x509.CertPool]{}
	}
	r.pools[key] = weak.Make(pool)
	runtime.AddCleanup(pool, r.forget, key)
	return pool, nil
}

// Len returns how many pools are in use.
func (r *rootPools) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pools)
}

// forget removes a pool that is no longer in use, unless it has a successor.
func (r *rootPools) forget(key bundleKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pools[key].Value() == nil {
		delete(r.pools, key)
	}
}

// TLSSettings are the options of probes over TLS.
type TLSSettings struct {
	// ServerName is sent as SNI and verified; empty means the URL's host. An address must be
	// among the certificate's IP addresses.
	ServerName string
	// CABundle holds PEM certificates to trust instead of the system's; empty
	// means the system's.
	CABundle []byte
	// ClientCertificate is sent to endpoints that ask for one; nil means none.
	ClientCertificate *tls.Certificate
	// InsecureSkipVerify accepts any certificate.
	InsecureSkipVerify bool
	// MinValidity is how long the certificate and its authorities must still be valid; 0 means
	// that being valid now is enough.
	MinValidity time.Duration
}
