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
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"farpoint.dev/farpoint/test/servers"
)

func TestTLSProbe(t *testing.T) {
	ca := newAuthority(t) // valid for an hour itself
	trusting := TLSSettings{CABundle: ca.bundle()}
	clients, ours := x509.NewCertPool(), ca.issue(t, forClients)
	clients.AppendCertsFromPEM(ca.bundle())
	server := func(config *tls.Config, spoil ...func(*x509.Certificate)) func(net.Conn) {
		config.Certificates = []tls.Certificate{ca.issue(t, spoil...)}
		return secure(config, silence)
	}
	mutual := func(version uint16) *tls.Config {
		return &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MaxVersion: version}
	}
	for _, test := range []struct {
		name     string
		talk     func(net.Conn)
		query    string
		settings TLSSettings
		timeout  time.Duration
		want     Result
	}{
		{"good", server(&tls.Config{}), "", trusting, ample, SuccessResult()},
		{"TLS 1.2", server(&tls.Config{MaxVersion: tls.VersionTLS12}), "", trusting, ample, SuccessResult()},
		{"speaks first", secure(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}, func(conn net.Conn) { _, _ = io.WriteString(conn, "220 ready\r\n") }), "", trusting, ample, SuccessResult()},
		{"closes at once after it", server(&tls.Config{}), "", trusting, ample, SuccessResult()},
		{"expired", server(&tls.Config{}, expired), "", trusting, ample, FailureResult(ReasonCertificate)},
		{"not yet valid", server(&tls.Config{}, notYetValid), "", trusting, ample, FailureResult(ReasonCertificate)},
		{"for others", server(&tls.Config{}, forOthers), "", trusting, ample, FailureResult(ReasonCertificate)},
		{"unknown authority", server(&tls.Config{}), "", TLSSettings{}, ample, FailureResult(ReasonCertificate)},
		{"server name", server(&tls.Config{}), "", TLSSettings{CABundle: ca.bundle(), ServerName: "legacy.example"}, ample, SuccessResult()},
		{"anything goes", server(&tls.Config{}, expired, forOthers), "", TLSSettings{InsecureSkipVerify: true}, ample, SuccessResult()},

		{"valid for long enough", server(&tls.Config{}), "?minValidity=30m", trusting, ample, SuccessResult()},
		{"expires too soon", server(&tls.Config{}, lasting(20*time.Minute)), "?minValidity=30m", trusting, ample, FailureResult(ReasonCertificateExpiring)},
		{"its authority expires too soon", server(&tls.Config{}, lasting(240*time.Hour)), "?minValidity=168h", trusting, ample, FailureResult(ReasonCertificateExpiring)},
		{"expired already", server(&tls.Config{}, expired), "?minValidity=30m", trusting, ample, FailureResult(ReasonCertificate)},
		{"unverified, expires too soon", server(&tls.Config{}, lasting(20*time.Minute)), "?minValidity=30m", TLSSettings{InsecureSkipVerify: true}, ample, FailureResult(ReasonCertificateExpiring)},
		{"unverified, lasts", server(&tls.Config{}, lasting(240*time.Hour)), "?minValidity=168h", TLSSettings{InsecureSkipVerify: true}, ample, SuccessResult()},

		{"wants a certificate", server(mutual(0)), "", trusting, ample, FailureResult(ReasonTLSHandshake)},
		{"wants a certificate, TLS 1.2", server(mutual(tls.VersionTLS12)), "", trusting, ample, FailureResult(ReasonTLSHandshake)},
		{"wants a certificate and gets it", server(mutual(0)), "", TLSSettings{CABundle: ca.bundle(), ClientCertificate: &ours}, ample, SuccessResult()},
		{"wants a certificate and gets it, TLS 1.2", server(mutual(tls.VersionTLS12)), "", TLSSettings{CABundle: ca.bundle(), ClientCertificate: &ours}, ample, SuccessResult()},
		{"would like a certificate", server(&tls.Config{ClientAuth: tls.RequestClientCert}), "", trusting, ample, SuccessResult()},

		{"plain server that answers", closing(func(conn net.Conn) { _, _ = io.WriteString(conn, well) }), "", trusting, ample, FailureResult(ReasonProtocol)},
		{"silent", silence, "", trusting, brief, FailureResult(ReasonTimeout)},
		{"closes at once", closing(silence), "", trusting, ample, FailureResult(ReasonConnectionClosed)},
		{"resets at once", aborting(silence), "", trusting, ample, FailureResult(ReasonConnectionClosed)},
		{"slow handshake", dripTLS, "", trusting, brief, FailureResult(ReasonTimeout)},
		{"alert", closing(func(conn net.Conn) { _, _ = io.WriteString(conn, "\x15\x03\x03\x00\x02\x02\x28") }), "", trusting, ample, FailureResult(ReasonTLSHandshake)},
		{"endless garbage", func(conn net.Conn) {
			_, err := io.WriteString(conn, "\x16\x03\x03\x40\x00")
			for err == nil {
				_, err = io.WriteString(conn, strings.Repeat("\x00", 1<<14))
			}
		}, "", trusting, ample, FailureResult(ReasonTLSHandshake)},
	} {
		t.Run(test.name, func(t *testing.T) {
			def := at(serve(t, test.talk), "tls://"+test.query)
			def.TLS = &test.settings
			prober := prepare(t, def)
			for range 2 {
				if got := probeOnce(t, prober, test.timeout); got != test.want {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
			}
		})
	}
}

// TestTLSProbeSeesAReplacedCertificate: whoever asks for the certificate is told of the
// present one, not of one that a session remembers.
func TestTLSProbeSeesAReplacedCertificate(t *testing.T) {
	ca := newAuthority(t)
	good, soon := ca.issue(t), ca.issue(t, lasting(time.Minute))
	var certificate atomic.Pointer[tls.Certificate]
	certificate.Store(&good)
	config := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate.Load(), nil }}
	def := at(serve(t, secure(config, silence)), "tls://?minValidity=30m")
	def.TLS = &TLSSettings{CABundle: ca.bundle()}
	prober := prepare(t, def)
	for _, step := range []struct {
		shown *tls.Certificate
		want  Result
	}{{&good, SuccessResult()}, {&soon, FailureResult(ReasonCertificateExpiring)}, {&good, SuccessResult()}} {
		certificate.Store(step.shown)
		if got := probeOnce(t, prober, ample); got != step.want {
			t.Errorf("got %+v, want %+v", got, step.want)
		}
	}
}

func TestTLSProbeByName(t *testing.T) {
	resolving(t, always("127.0.0.1"))
	ca := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.issue(t, func(c *x509.Certificate) { c.IPAddresses = nil })}}
	endpoint := serve(t, secure(config, silence))
	def := Definition{URL: fmt.Sprintf("tls://legacy.example:%d", endpoint.Port()), TLS: &TLSSettings{CABundle: ca.bundle()}}
	if got := result(t, def, ample); got != SuccessResult() {
		t.Errorf("got %+v", got)
	}
}

func TestTLSProbeCanceled(t *testing.T) {
	connected := make(chan struct{})
	testCanceled(t, at(serve(t, func(net.Conn) { close(connected) }), "tls://"), connected)
}

func TestTLSProbeOfNginx(t *testing.T) {
	ca := newAuthority(t)
	good, soon, old, strict := refusing(t), refusing(t), refusing(t), refusing(t)
	server := servers.NewNginx(t)
	authority := server.File(string(ca.bundle()))
	server.Serve(good, fmt.Sprintf(`
		server { listen %s ssl; %s }
		server { listen %s ssl; %s }
		server { listen %s ssl; %s }
		server { listen %s ssl; %s ssl_protocols TLSv1.3; ssl_verify_client on; ssl_client_certificate %s; }`,
		good, server.TLS(inPEM(t, ca.issue(t))), soon, server.TLS(inPEM(t, ca.issue(t, lasting(time.Minute)))),
		old, server.TLS(inPEM(t, ca.issue(t, expired))), strict, server.TLS(inPEM(t, ca.issue(t))), authority))
	probe := func(url string, timeout time.Duration, want Result) {
		t.Helper()
		if got := result(t, Definition{URL: url, TLS: &TLSSettings{CABundle: ca.bundle()}}, timeout); got != want {
			t.Errorf("%s: got %+v, want %+v", url, got, want)
		}
	}
	url := "tls://" + good.String() + "?minValidity=10m"
	probe(url, ample, SuccessResult())
	probe("tls://"+soon.String()+"?minValidity=10m", ample, FailureResult(ReasonCertificateExpiring))
	probe("tls://"+soon.String(), ample, SuccessResult())
	probe("tls://"+old.String(), ample, FailureResult(ReasonCertificate))
	probe("tls://"+strict.String(), ample, SuccessResult()) // nginx asks, and complains over HTTP
	server.Freeze()
	probe(url, brief, FailureResult(ReasonTimeout))
	server.Thaw()
	probe(url, ample, SuccessResult())
	server.Stop()
	probe(url, ample, FailureResult(ReasonConnectionRefused))
}

func benchmarkTLSProbe(b *testing.B) {
	ca := newAuthority(b)
	config := &tls.Config{Certificates: []tls.Certificate{ca.issue(b)}}
	def := at(serve(b, secure(config, silence)), "tls://?minValidity=10m")
	def.TLS = &TLSSettings{CABundle: ca.bundle()}
	benchmark(b, def)
}
