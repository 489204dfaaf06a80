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
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
	"farpoint.dev/farpoint/test/servers"
)

// silentTLS is a server that shows a certificate of the authority and says nothing.
func silentTLS(t *testing.T, ca *probetest.Authority, config *tls.Config, spoil ...func(*x509.Certificate)) func(net.Conn) {
	t.Helper()
	config.Certificates = []tls.Certificate{ca.Issue(t, spoil...)}
	return probetest.Secure(config, probetest.Silence)
}

type tlsCase struct {
	name     string
	exchange func(net.Conn)
	query    string
	settings transport.TLSSettings
	timeout  time.Duration
	want     probes.Result
}

func checkTLS(t *testing.T, cases []tlsCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			def := at(probetest.Serve(t, test.exchange), "tls://"+test.query)
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

func TestTLSProbe_CertificateOfTheServer_IsVerified(t *testing.T) {
	ca := probetest.NewAuthority(t) // valid for an hour itself
	trusting := transport.TLSSettings{CABundle: ca.Bundle()}
	checkTLS(t, []tlsCase{
		{"good", silentTLS(t, ca, &tls.Config{}), "", trusting, probetest.Ample, probes.SuccessResult()},
		{"TLS 1.2", silentTLS(t, ca, &tls.Config{MaxVersion: tls.VersionTLS12}), "", trusting, probetest.Ample, probes.SuccessResult()},
		{"speaks first", probetest.Secure(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}}, func(conn net.Conn) { _, _ = io.WriteString(conn, "220 ready\r\n") }), "", trusting, probetest.Ample, probes.SuccessResult()},
		{"closes at once after it", silentTLS(t, ca, &tls.Config{}), "", trusting, probetest.Ample, probes.SuccessResult()},
		{"expired", silentTLS(t, ca, &tls.Config{}, probetest.Expired), "", trusting, probetest.Ample, probes.FailureResult(probes.ReasonCertificate)},
		{"not yet valid", silentTLS(t, ca, &tls.Config{}, probetest.NotYetValid), "", trusting, probetest.Ample, probes.FailureResult(probes.ReasonCertificate)},
		{"for others", silentTLS(t, ca, &tls.Config{}, probetest.ForOthers), "", trusting, probetest.Ample, probes.FailureResult(probes.ReasonCertificate)},
		{"unknown authority", silentTLS(t, ca, &tls.Config{}), "", transport.TLSSettings{}, probetest.Ample, probes.FailureResult(probes.ReasonCertificate)},
		{"server name", silentTLS(t, ca, &tls.Config{}), "", transport.TLSSettings{CABundle: ca.Bundle(), ServerName: "legacy.example"}, probetest.Ample, probes.SuccessResult()},
		{"anything goes", silentTLS(t, ca, &tls.Config{}, probetest.Expired, probetest.ForOthers), "", transport.TLSSettings{InsecureSkipVerify: true}, probetest.Ample, probes.SuccessResult()},

		{"valid for long enough", silentTLS(t, ca, &tls.Config{}), " minValidity=30m", trusting, probetest.Ample, probes.SuccessResult()},
		{"expires too soon", silentTLS(t, ca, &tls.Config{}, probetest.Lasting(20*time.Minute)), " minValidity=30m", trusting, probetest.Ample, probes.FailureResult(probes.ReasonCertificateExpiring)},
		{"its authority expires too soon", silentTLS(t, ca, &tls.Config{}, probetest.Lasting(240*time.Hour)), " minValidity=168h", trusting, probetest.Ample, probes.FailureResult(probes.ReasonCertificateExpiring)},
		{"expired already", silentTLS(t, ca, &tls.Config{}, probetest.Expired), " minValidity=30m", trusting, probetest.Ample, probes.FailureResult(probes.ReasonCertificate)},
		{"unverified, expires too soon", silentTLS(t, ca, &tls.Config{}, probetest.Lasting(20*time.Minute)), " minValidity=30m", transport.TLSSettings{InsecureSkipVerify: true}, probetest.Ample, probes.FailureResult(probes.ReasonCertificateExpiring)},
		{"unverified, lasts", silentTLS(t, ca, &tls.Config{}, probetest.Lasting(240*time.Hour)), " minValidity=168h", transport.TLSSettings{InsecureSkipVerify: true}, probetest.Ample, probes.SuccessResult()},
	})
}

func TestTLSProbe_ServerWantsACertificate_PassesWithOne(t *testing.T) {
	ca := probetest.NewAuthority(t)
	trusting := transport.TLSSettings{CABundle: ca.Bundle()}
	clients, ours := x509.NewCertPool(), ca.Issue(t, probetest.ForClients)
	clients.AppendCertsFromPEM(ca.Bundle())
	mutual := func(version uint16) *tls.Config {
		return &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MaxVersion: version}
	}
	checkTLS(t, []tlsCase{
		{"wants a certificate", silentTLS(t, ca, mutual(0)), "", trusting, probetest.Ample, probes.FailureResult(probes.ReasonTLSHandshake)},
		{"wants a certificate, TLS 1.2", silentTLS(t, ca, mutual(tls.VersionTLS12)), "", trusting, probetest.Ample, probes.FailureResult(probes.ReasonTLSHandshake)},
		{"wants a certificate and gets it", silentTLS(t, ca, mutual(0)), "", transport.TLSSettings{CABundle: ca.Bundle(), ClientCertificate: &ours}, probetest.Ample, probes.SuccessResult()},
		{"wants a certificate and gets it, TLS 1.2", silentTLS(t, ca, mutual(tls.VersionTLS12)), "", transport.TLSSettings{CABundle: ca.Bundle(), ClientCertificate: &ours}, probetest.Ample, probes.SuccessResult()},
		{"would like a certificate", silentTLS(t, ca, &tls.Config{ClientAuth: tls.RequestClientCert}), "", trusting, probetest.Ample, probes.SuccessResult()},
	})
}

func TestTLSProbe_HandshakeIsNotCompleted_Fails(t *testing.T) {
	trusting := transport.TLSSettings{CABundle: probetest.NewAuthority(t).Bundle()}
	checkTLS(t, []tlsCase{
		{"plain server that answers", probetest.Closing(func(conn net.Conn) { _, _ = io.WriteString(conn, probetest.Well) }), "", trusting, probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"silent", probetest.Silence, "", trusting, probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
		{"closes at once", probetest.Closing(probetest.Silence), "", trusting, probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"resets at once", probetest.Aborting(probetest.Silence), "", trusting, probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"slow handshake", dripTLS, "", trusting, probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
		{"alert", probetest.Closing(func(conn net.Conn) { _, _ = io.WriteString(conn, "\x15\x03\x03\x00\x02\x02\x28") }), "", trusting, probetest.Ample, probes.FailureResult(probes.ReasonTLSHandshake)},
		{"endless garbage", func(conn net.Conn) {
			_, err := io.WriteString(conn, "\x16\x03\x03\x40\x00")
			for err == nil {
				_, err = io.WriteString(conn, strings.Repeat("\x00", 1<<14))
			}
		}, "", trusting, probetest.Ample, probes.FailureResult(probes.ReasonTLSHandshake)},
	})
}

// TestTLSProbeSeesAReplacedCertificate: probes for the certificate see the present one, not one
// that a session remembers.
func TestTLSProbeSeesAReplacedCertificate(t *testing.T) {
	ca := probetest.NewAuthority(t)
	good, soon := ca.Issue(t), ca.Issue(t, probetest.Lasting(time.Minute))
	var certificate atomic.Pointer[tls.Certificate]
	certificate.Store(&good)
	config := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate.Load(), nil }}
	def := at(probetest.Serve(t, probetest.Secure(config, probetest.Silence)), "tls:// minValidity=30m")
	def.TLS = &transport.TLSSettings{CABundle: ca.Bundle()}
	prober := prepare(t, def)
	for _, step := range []struct {
		shown *tls.Certificate
		want  probes.Result
	}{{&good, probes.SuccessResult()}, {&soon, probes.FailureResult(probes.ReasonCertificateExpiring)}, {&good, probes.SuccessResult()}} {
		certificate.Store(step.shown)
		if got := probeOnce(t, prober, probetest.Ample); got != step.want {
			t.Errorf("got %+v, want %+v", got, step.want)
		}
	}
}

func TestTLSProbeByName(t *testing.T) {
	resolving(t, always("127.0.0.1"))
	ca := probetest.NewAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, func(c *x509.Certificate) { c.IPAddresses = nil })}}
	endpoint := probetest.Serve(t, probetest.Secure(config, probetest.Silence))
	def := Definition{URL: fmt.Sprintf("tls://legacy.example:%d", endpoint.Port()), TLS: &transport.TLSSettings{CABundle: ca.Bundle()}}
	if got := result(t, def, probetest.Ample); got != probes.SuccessResult() {
		t.Errorf("got %+v", got)
	}
}

func TestTLSProbeCanceled(t *testing.T) {
	accepted := make(chan struct{})
	testCanceled(t, at(probetest.Serve(t, func(net.Conn) { close(accepted) }), "tls://"), accepted)
}

func TestTLSProbeOfNginx(t *testing.T) {
	ca := probetest.NewAuthority(t)
	good, soon, old, strict := probetest.Refusing(t), probetest.Refusing(t), probetest.Refusing(t), probetest.Refusing(t)
	server := servers.NewNginx(t)
	authority := server.File(string(ca.Bundle()))
	server.Serve(good, fmt.Sprintf(`
		server { listen %s ssl; %s }
		server { listen %s ssl; %s }
		server { listen %s ssl; %s }
		server { listen %s ssl; %s ssl_protocols TLSv1.3; ssl_verify_client on; ssl_client_certificate %s; }`,
		good, server.TLS(inPEM(t, ca.Issue(t))), soon, server.TLS(inPEM(t, ca.Issue(t, probetest.Lasting(time.Minute)))),
		old, server.TLS(inPEM(t, ca.Issue(t, probetest.Expired))), strict, server.TLS(inPEM(t, ca.Issue(t))), authority))
	probe := func(url string, timeout time.Duration, want probes.Result) {
		t.Helper()
		if got := result(t, Definition{URL: url, TLS: &transport.TLSSettings{CABundle: ca.Bundle()}}, timeout); got != want {
			t.Errorf("%s: got %+v, want %+v", url, got, want)
		}
	}
	url := "tls://" + good.String() + " minValidity=10m"
	probe(url, probetest.Ample, probes.SuccessResult())
	probe("tls://"+soon.String()+" minValidity=10m", probetest.Ample, probes.FailureResult(probes.ReasonCertificateExpiring))
	probe("tls://"+soon.String(), probetest.Ample, probes.SuccessResult())
	probe("tls://"+old.String(), probetest.Ample, probes.FailureResult(probes.ReasonCertificate))
	probe("tls://"+strict.String(), probetest.Ample, probes.SuccessResult()) // nginx asks, and complains over HTTP
	server.Freeze()
	probe(url, probetest.Brief, probes.FailureResult(probes.ReasonTimeout))
	server.Thaw()
	probe(url, probetest.Ample, probes.SuccessResult())
	server.Stop()
	probe(url, probetest.Ample, probes.FailureResult(probes.ReasonConnectionRefused))
}

func benchmarkTLSProbe(b *testing.B) {
	ca := probetest.NewAuthority(b)
	config := &tls.Config{Certificates: []tls.Certificate{ca.Issue(b)}}
	def := at(probetest.Serve(b, probetest.Secure(config, probetest.Silence)), "tls:// minValidity=10m")
	def.TLS = &transport.TLSSettings{CABundle: ca.Bundle()}
	benchmark(b, def)
}
