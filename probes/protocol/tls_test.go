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
	"io"
	"net"
	"net/netip"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
)

// wellTLS is a server that shows a certificate of the authority and responds well.
func wellTLS(t *testing.T, ca *probetest.Authority, config *tls.Config, spoil ...func(*x509.Certificate)) func(net.Conn) {
	t.Helper()
	config.Certificates = []tls.Certificate{ca.Issue(t, spoil...)}
	return probetest.Secure(config, probetest.Responding(probetest.Well))
}

type httpsCase struct {
	name     string
	exchange func(net.Conn)
	settings transport.TLSSettings
	timeout  time.Duration
	want     probes.Result
}

func checkHTTPS(t *testing.T, cases []httpsCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			def := at(probetest.Serve(t, test.exchange), "https:///")
			def.TLS = &test.settings
			// Twice, since the second handshake may resume what the first has begun.
			prober := prepare(t, def)
			for range 2 {
				if got := probeOnce(t, prober, test.timeout); got != test.want {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
			}
		})
	}
}

func TestHTTPSProbe_CertificateOfTheServer_IsVerified(t *testing.T) {
	ca := probetest.NewAuthority(t)
	trusting := transport.TLSSettings{CABundle: ca.Bundle()}
	checkHTTPS(t, []httpsCase{
		{"good", wellTLS(t, ca, &tls.Config{}), trusting, probetest.Ample, probes.SuccessResult()},
		{"TLS 1.2", wellTLS(t, ca, &tls.Config{MaxVersion: tls.VersionTLS12}), trusting, probetest.Ample, probes.SuccessResult()},
		{"server name", wellTLS(t, ca, &tls.Config{}), transport.TLSSettings{CABundle: ca.Bundle(), ServerName: "legacy.example"}, probetest.Ample, probes.SuccessResult()},
		{"another server name", wellTLS(t, ca, &tls.Config{}), transport.TLSSettings{CABundle: ca.Bundle(), ServerName: "www.example"}, probetest.Ample, probes.FailureResult(probes.ReasonCertificate)},
		{"unknown authority", wellTLS(t, ca, &tls.Config{}), transport.TLSSettings{}, probetest.Ample, probes.FailureResult(probes.ReasonCertificate)},
		{"another authority", wellTLS(t, ca, &tls.Config{}), transport.TLSSettings{CABundle: probetest.NewAuthority(t).Bundle()}, probetest.Ample, probes.FailureResult(probes.ReasonCertificate)},
		{"expired", wellTLS(t, ca, &tls.Config{}, probetest.Expired), trusting, probetest.Ample, probes.FailureResult(probes.ReasonCertificate)},
		{"not yet valid", wellTLS(t, ca, &tls.Config{}, probetest.NotYetValid), trusting, probetest.Ample, probes.FailureResult(probes.ReasonCertificate)},
		{"for others", wellTLS(t, ca, &tls.Config{}, probetest.ForOthers), trusting, probetest.Ample, probes.FailureResult(probes.ReasonCertificate)},
		{"for clients", wellTLS(t, ca, &tls.Config{}, probetest.ForClients), trusting, probetest.Ample, probes.FailureResult(probes.ReasonCertificate)},
		{"anything goes", wellTLS(t, ca, &tls.Config{}, probetest.Expired, probetest.ForOthers), transport.TLSSettings{InsecureSkipVerify: true}, probetest.Ample, probes.SuccessResult()},
	})
}

func TestHTTPSProbe_VersionAndClientCertificate_AreNegotiated(t *testing.T) {
	ca := probetest.NewAuthority(t)
	trusting := transport.TLSSettings{CABundle: ca.Bundle()}
	clients, ours := x509.NewCertPool(), ca.Issue(t, probetest.ForClients)
	clients.AppendCertsFromPEM(ca.Bundle())
	checkHTTPS(t, []httpsCase{
		{"old version", wellTLS(t, ca, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}), trusting, probetest.Ample, probes.FailureResult(probes.ReasonTLSHandshake)},
		{"wants a certificate", wellTLS(t, ca, &tls.Config{ClientAuth: tls.RequireAnyClientCert}), trusting, probetest.Ample, probes.FailureResult(probes.ReasonTLSHandshake)},
		{"wants a certificate, TLS 1.2", wellTLS(t, ca, &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}), trusting, probetest.Ample, probes.FailureResult(probes.ReasonTLSHandshake)},
		{"wants a certificate and gets it", wellTLS(t, ca, &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}), transport.TLSSettings{CABundle: ca.Bundle(), ClientCertificate: &ours}, probetest.Ample, probes.SuccessResult()},
		{"wants a certificate of another authority", wellTLS(t, ca, &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}), transport.TLSSettings{CABundle: ca.Bundle(), ClientCertificate: &ours}, probetest.Ample, probes.FailureResult(probes.ReasonTLSHandshake)},
		{"only HTTP/2", wellTLS(t, ca, &tls.Config{NextProtos: []string{"h2", "foo"}}), trusting, probetest.Ample, probes.SuccessResult()}, // crypto/tls lets HTTP/1.1 pass
		{"another protocol", wellTLS(t, ca, &tls.Config{NextProtos: []string{"foo"}}), trusting, probetest.Ample, probes.FailureResult(probes.ReasonTLSHandshake)},
		{"bad status", probetest.Secure(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}}, probetest.Responding("HTTP/1.1 500 Oops\r\n\r\n")), trusting, probetest.Ample, httpStatus(500)},
	})
}

func TestHTTPSProbe_HandshakeOrResponseIsNotCompleted_Fails(t *testing.T) {
	ca := probetest.NewAuthority(t)
	trusting := transport.TLSSettings{CABundle: ca.Bundle()}
	checkHTTPS(t, []httpsCase{
		{"plain server", probetest.Responding(probetest.Well), trusting, probetest.Brief, probes.FailureResult(probes.ReasonTimeout)}, // it waits for an empty line
		{"plain server that answers", probetest.Closing(func(conn net.Conn) { _, _ = io.WriteString(conn, probetest.Well) }), trusting, probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"silent", probetest.Silence, trusting, probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
		{"closes at once", probetest.Closing(probetest.Silence), trusting, probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"resets at once", probetest.Aborting(probetest.Silence), trusting, probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"closes in the handshake", probetest.Closing(func(conn net.Conn) { _, _ = io.WriteString(conn, "\x16\x03\x03\x00\x7a\x02") }), trusting, probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"closes after the handshake", probetest.Secure(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}}, probetest.Silence), trusting, probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"silent after the handshake", probetest.Secure(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}}, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }), trusting, probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
		{"slow handshake", dripTLS, trusting, probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
		{"garbage in the handshake", probetest.Closing(func(conn net.Conn) { _, _ = io.WriteString(conn, "\x16\x03\x03\x00\x04\x63\x00\x00\x00") }), trusting, probetest.Ample, probes.FailureResult(probes.ReasonTLSHandshake)},
		{"alert", probetest.Closing(func(conn net.Conn) { _, _ = io.WriteString(conn, "\x15\x03\x03\x00\x02\x02\x28") }), trusting, probetest.Ample, probes.FailureResult(probes.ReasonTLSHandshake)},
	})
}

// dripTLS begins a long handshake message and never gets to its end.
func dripTLS(conn net.Conn) {
	_, err := io.WriteString(conn, "\x16\x03\x03\x40\x00\x02\x00\x3f\xff")
	for err == nil {
		time.Sleep(time.Millisecond)
		_, err = conn.Write([]byte{0})
	}
}

func TestHTTPSProbeByName(t *testing.T) {
	resolving(t, always("127.0.0.1"))
	ca := probetest.NewAuthority(t)
	hellos := make(chan string, 1)
	config := &tls.Config{
		Certificates: []tls.Certificate{ca.Issue(t, func(c *x509.Certificate) { c.IPAddresses = nil })},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			hellos <- hello.ServerName + " " + strings.Join(hello.SupportedProtos, ",")
			return nil, nil
		},
	}
	endpoint := probetest.Serve(t, probetest.Secure(config, probetest.Responding(probetest.Well)))
	for url, test := range map[string]struct {
		hello string
		want  probes.Result
	}{
		"https://Legacy.Example":  {"legacy.example http/1.1", probes.SuccessResult()},
		"https://legacy.example.": {"legacy.example http/1.1", probes.SuccessResult()},
		"https://":                {" http/1.1", probes.FailureResult(probes.ReasonCertificate)},
	} {
		def := at(endpoint, url)
		def.TLS = &transport.TLSSettings{CABundle: ca.Bundle()}
		if got := result(t, def, probetest.Ample); got != test.want {
			t.Errorf("%s: got %+v, want %+v", url, got, test.want)
		}
		if got := <-hellos; got != test.hello {
			t.Errorf("%s: the server was asked for %q, want %q", url, got, test.hello)
		}
	}
}

func TestHTTPSProbeCanceled(t *testing.T) {
	accepted := make(chan struct{})
	testCanceled(t, at(probetest.Serve(t, func(net.Conn) { close(accepted) }), "https://"), accepted)
}

// TestHandshakesResume: most handshakes are short ones, and yet a replaced
// certificate is noticed before long.
func TestHandshakesResume(t *testing.T) {
	ca := probetest.NewAuthority(t)
	var (
		certificate    atomic.Pointer[tls.Certificate]
		resumed, count int
	)
	good, bad := ca.Issue(t), ca.Issue(t, probetest.ForOthers)
	certificate.Store(&good)
	states := make(chan bool, 1)
	endpoint := probetest.Serve(t, probetest.Secure(&tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate.Load(), nil },
	}, func(conn net.Conn) {
		states <- conn.(*tls.Conn).ConnectionState().DidResume
		probetest.Responding(probetest.Well)(conn)
	}))
	def := at(endpoint, "https://")
	def.TLS = &transport.TLSSettings{CABundle: ca.Bundle()}
	prober := prepare(t, def)
	for ; count < 2*transport.FullHandshakeEvery; count++ {
		if got := probeOnce(t, prober, probetest.Ample); got != probes.SuccessResult() {
			t.Fatalf("got %+v", got)
		}
		if <-states {
			resumed++
		}
	}
	if resumed < count*8/10 || resumed > count-2 {
		t.Errorf("%d of %d handshakes were resumed", resumed, count)
	}
	certificate.Store(&bad)
	for range transport.FullHandshakeEvery {
		got := probeOnce(t, prober, probetest.Ample)
		if got == probes.FailureResult(probes.ReasonCertificate) {
			return
		}
		<-states
	}
	t.Error("the replaced certificate was never noticed")
}

// TestSessionsAreNotShared: that one endpoint has shown a good certificate must not
// make up for the bad one of another.
func TestSessionsAreNotShared(t *testing.T) {
	ca := probetest.NewAuthority(t)
	key := [32]byte{1}
	server := func(certificate tls.Certificate) Definition {
		config := &tls.Config{Certificates: []tls.Certificate{certificate}}
		config.SetSessionTicketKeys([][32]byte{key})
		return at(probetest.Serve(t, probetest.Secure(config, probetest.Responding(probetest.Well))), "https://")
	}
	good, bad := server(ca.Issue(t)), server(ca.Issue(t, probetest.ForOthers))
	settings := &transport.TLSSettings{CABundle: ca.Bundle(), ServerName: "legacy.example"}
	good.TLS, bad.TLS = settings, settings
	registry := NewRegistry(testDialer(loopback))
	for _, test := range []struct {
		def  Definition
		want probes.Result
	}{{good, probes.SuccessResult()}, {good, probes.SuccessResult()}, {bad, probes.FailureResult(probes.ReasonCertificate)}} {
		prober, err := registry.New(test.def)
		if err != nil {
			t.Fatal(err)
		}
		if got := probeOnce(t, prober, probetest.Ample); got != test.want {
			t.Errorf("got %+v, want %+v", got, test.want)
		}
	}
}

// TestBundlesAreShared: thousands of endpoints with the same authorities keep one
// copy of them, and none is kept for nobody.
func TestBundlesAreShared(t *testing.T) {
	bundle := probetest.NewAuthority(t).Bundle()
	dialer := testDialer(loopback)
	registry := NewRegistry(dialer)
	var probers []*httpProber
	for range 3 {
		prober, err := registry.New(Definition{
			URL: "https://:443", Address: netip.MustParseAddr("192.0.2.10"), TLS: &transport.TLSSettings{CABundle: bundle},
		})
		if err != nil {
			t.Fatal(err)
		}
		probers = append(probers, prober.(*httpProber))
	}
	if probers[0].first.tls.Config.RootCAs != probers[2].first.tls.Config.RootCAs {
		t.Error("two probers have a pool of their own")
	}
	runtime.KeepAlive(probers)
	kept := func() int {
		return dialer.Roots.Len()
	}
	for end := time.Now().Add(probetest.Ample); kept() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a pool that nobody uses is kept")
		}
		runtime.GC()
	}
}

func TestRedirectsAndTLS(t *testing.T) {
	ca := probetest.NewAuthority(t)
	securely := func(s *site) string {
		addr := probetest.Serve(t, probetest.Secure(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}}, s.exchange))
		s.at = addr
		return "https://" + addr.String()
	}
	settings := &transport.TLSSettings{CABundle: ca.Bundle(), ServerName: "legacy.example"}
	follow := func(t *testing.T, s *site, scheme string, tls *transport.TLSSettings) probes.Result {
		def := at(s.at, scheme+":///")
		def.HTTP = &HTTPSettings{FollowRedirects: true, ExpectedBody: regexp.MustCompile("^ok")}
		def.TLS = tls
		return result(t, def, probetest.Ample)
	}
	t.Run("up to https", func(t *testing.T) {
		start, end := newSite(t), newSite(t).has("/ok", probetest.Well)
		start.redirects("/", 301, securely(end)+"/ok")
		// The server name is not asked for here, but the address, which is in order.
		if got := follow(t, start, "http", settings); got != probes.SuccessResult() {
			t.Errorf("got %+v", got)
		}
		if got, want := follow(t, start, "http", nil), probes.FailureResult(probes.ReasonCertificate); got != want {
			t.Errorf("without the authority: got %+v, want %+v", got, want)
		}
	})
	t.Run("within https", func(t *testing.T) {
		s := newSite(t).redirects("/", 301, "/ok").has("/ok", probetest.Well)
		securely(s)
		if got := follow(t, s, "https", settings); got != probes.SuccessResult() {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("elsewhere without our certificate", func(t *testing.T) {
		curious := probetest.Serve(t, probetest.Secure(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}, ClientAuth: tls.RequireAnyClientCert}, probetest.Responding(probetest.Well)))
		s := newSite(t).redirects("/", 301, "https://"+curious.String()+"/")
		securely(s)
		ours := ca.Issue(t, probetest.ForClients)
		with := &transport.TLSSettings{CABundle: ca.Bundle(), ServerName: "legacy.example", ClientCertificate: &ours}
		if got, want := follow(t, s, "https", with), probes.FailureResult(probes.ReasonTLSHandshake); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
	t.Run("down to http", func(t *testing.T) {
		plaintext := probetest.Unvisited(t)
		s := newSite(t).redirects("/", 301, "http://"+plaintext.String()+"/ok")
		securely(s)
		if got, want := follow(t, s, "https", settings), probes.FailureResult(probes.ReasonRedirect); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func benchmarkHTTPSProbe(b *testing.B) {
	ca := probetest.NewAuthority(b)
	config := &tls.Config{Certificates: []tls.Certificate{ca.Issue(b)}}
	def := at(probetest.Serve(b, probetest.Secure(config, benchmarkServer())), "https:///health")
	def.TLS = &transport.TLSSettings{CABundle: ca.Bundle()}
	benchmark(b, def)
}
