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
	"io"
	"net"
	"net/netip"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestHTTPSProbe(t *testing.T) {
	ca := newAuthority(t)
	trusting := TLSSettings{CABundle: ca.bundle()}
	clients, ours := x509.NewCertPool(), ca.issue(t, forClients)
	clients.AppendCertsFromPEM(ca.bundle())
	server := func(config *tls.Config, spoil ...func(*x509.Certificate)) func(net.Conn) {
		config.Certificates = []tls.Certificate{ca.issue(t, spoil...)}
		return secure(config, responding(well))
	}
	for _, test := range []struct {
		name     string
		talk     func(net.Conn)
		settings TLSSettings
		timeout  time.Duration
		want     Result
	}{
		{"good", server(&tls.Config{}), trusting, ample, SuccessResult()},
		{"TLS 1.2", server(&tls.Config{MaxVersion: tls.VersionTLS12}), trusting, ample, SuccessResult()},
		{"server name", server(&tls.Config{}), TLSSettings{CABundle: ca.bundle(), ServerName: "legacy.example"}, ample, SuccessResult()},
		{"another server name", server(&tls.Config{}), TLSSettings{CABundle: ca.bundle(), ServerName: "www.example"}, ample, FailureResult(ReasonCertificate)},
		{"unknown authority", server(&tls.Config{}), TLSSettings{}, ample, FailureResult(ReasonCertificate)},
		{"another authority", server(&tls.Config{}), TLSSettings{CABundle: newAuthority(t).bundle()}, ample, FailureResult(ReasonCertificate)},
		{"expired", server(&tls.Config{}, expired), trusting, ample, FailureResult(ReasonCertificate)},
		{"not yet valid", server(&tls.Config{}, notYetValid), trusting, ample, FailureResult(ReasonCertificate)},
		{"for others", server(&tls.Config{}, forOthers), trusting, ample, FailureResult(ReasonCertificate)},
		{"for clients", server(&tls.Config{}, forClients), trusting, ample, FailureResult(ReasonCertificate)},
		{"anything goes", server(&tls.Config{}, expired, forOthers), TLSSettings{InsecureSkipVerify: true}, ample, SuccessResult()},

		{"old version", server(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}), trusting, ample, FailureResult(ReasonTLSHandshake)},
		{"wants a certificate", server(&tls.Config{ClientAuth: tls.RequireAnyClientCert}), trusting, ample, FailureResult(ReasonTLSHandshake)},
		{"wants a certificate, TLS 1.2", server(&tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}), trusting, ample, FailureResult(ReasonTLSHandshake)},
		{"wants a certificate and gets it", server(&tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}), TLSSettings{CABundle: ca.bundle(), ClientCertificate: &ours}, ample, SuccessResult()},
		{"wants a certificate of another authority", server(&tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}), TLSSettings{CABundle: ca.bundle(), ClientCertificate: &ours}, ample, FailureResult(ReasonTLSHandshake)},
		{"only HTTP/2", server(&tls.Config{NextProtos: []string{"h2", "foo"}}), trusting, ample, SuccessResult()}, // crypto/tls lets HTTP/1.1 pass
		{"another protocol", server(&tls.Config{NextProtos: []string{"foo"}}), trusting, ample, FailureResult(ReasonTLSHandshake)},
		{"bad status", secure(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}, responding("HTTP/1.1 500 Oops\r\n\r\n")), trusting, ample, httpStatus(500)},

		{"plain server", responding(well), trusting, brief, FailureResult(ReasonTimeout)}, // it waits for an empty line
		{"plain server that answers", closing(func(conn net.Conn) { _, _ = io.WriteString(conn, well) }), trusting, ample, FailureResult(ReasonProtocol)},
		{"silent", silence, trusting, brief, FailureResult(ReasonTimeout)},
		{"closes at once", closing(silence), trusting, ample, FailureResult(ReasonConnectionClosed)},
		{"resets at once", aborting(silence), trusting, ample, FailureResult(ReasonConnectionClosed)},
		{"closes in the handshake", closing(func(conn net.Conn) { _, _ = io.WriteString(conn, "\x16\x03\x03\x00\x7a\x02") }), trusting, ample, FailureResult(ReasonConnectionClosed)},
		{"closes after the handshake", secure(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}, silence), trusting, ample, FailureResult(ReasonConnectionClosed)},
		{"silent after the handshake", secure(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }), trusting, brief, FailureResult(ReasonTimeout)},
		{"slow handshake", dripTLS, trusting, brief, FailureResult(ReasonTimeout)},
		{"garbage in the handshake", closing(func(conn net.Conn) { _, _ = io.WriteString(conn, "\x16\x03\x03\x00\x04\x63\x00\x00\x00") }), trusting, ample, FailureResult(ReasonTLSHandshake)},
		{"alert", closing(func(conn net.Conn) { _, _ = io.WriteString(conn, "\x15\x03\x03\x00\x02\x02\x28") }), trusting, ample, FailureResult(ReasonTLSHandshake)},
	} {
		t.Run(test.name, func(t *testing.T) {
			def := at(serve(t, test.talk), "https:///")
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
	ca := newAuthority(t)
	asked := make(chan string, 1)
	config := &tls.Config{
		Certificates: []tls.Certificate{ca.issue(t, func(c *x509.Certificate) { c.IPAddresses = nil })},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			asked <- hello.ServerName + " " + strings.Join(hello.SupportedProtos, ",")
			return nil, nil
		},
	}
	endpoint := serve(t, secure(config, responding(well)))
	for url, test := range map[string]struct {
		hello string
		want  Result
	}{
		"https://Legacy.Example":  {"legacy.example http/1.1", SuccessResult()},
		"https://legacy.example.": {"legacy.example http/1.1", SuccessResult()},
		"https://":                {" http/1.1", FailureResult(ReasonCertificate)},
	} {
		def := at(endpoint, url)
		def.TLS = &TLSSettings{CABundle: ca.bundle()}
		if got := result(t, def, ample); got != test.want {
			t.Errorf("%s: got %+v, want %+v", url, got, test.want)
		}
		if got := <-asked; got != test.hello {
			t.Errorf("%s: the server was asked for %q, want %q", url, got, test.hello)
		}
	}
}

func TestHTTPSProbeCanceled(t *testing.T) {
	connected := make(chan struct{})
	testCanceled(t, at(serve(t, func(net.Conn) { close(connected) }), "https://"), connected)
}

// TestHandshakesResume: most handshakes are short ones, and yet a replaced
// certificate is noticed before long.
func TestHandshakesResume(t *testing.T) {
	ca := newAuthority(t)
	var (
		certificate    atomic.Pointer[tls.Certificate]
		resumed, count int
	)
	good, bad := ca.issue(t), ca.issue(t, forOthers)
	certificate.Store(&good)
	states := make(chan bool, 1)
	endpoint := serve(t, secure(&tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate.Load(), nil },
	}, func(conn net.Conn) {
		states <- conn.(*tls.Conn).ConnectionState().DidResume
		responding(well)(conn)
	}))
	def := at(endpoint, "https://")
	def.TLS = &TLSSettings{CABundle: ca.bundle()}
	prober := prepare(t, def)
	for ; count < 2*fullHandshakeEvery; count++ {
		if got := probeOnce(t, prober, ample); got != SuccessResult() {
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
	for range fullHandshakeEvery {
		got := probeOnce(t, prober, ample)
		if got == FailureResult(ReasonCertificate) {
			return
		}
		<-states
	}
	t.Error("the replaced certificate was never noticed")
}

// TestSessionsAreNotShared: that one endpoint has shown a good certificate must not
// make up for the bad one of another.
func TestSessionsAreNotShared(t *testing.T) {
	ca := newAuthority(t)
	key := [32]byte{1}
	server := func(certificate tls.Certificate) Definition {
		config := &tls.Config{Certificates: []tls.Certificate{certificate}}
		config.SetSessionTicketKeys([][32]byte{key})
		return at(serve(t, secure(config, responding(well))), "https://")
	}
	good, bad := server(ca.issue(t)), server(ca.issue(t, forOthers))
	settings := &TLSSettings{CABundle: ca.bundle(), ServerName: "legacy.example"}
	good.TLS, bad.TLS = settings, settings
	registry := NewRegistry(testDialer(loopback))
	for _, test := range []struct {
		def  Definition
		want Result
	}{{good, SuccessResult()}, {good, SuccessResult()}, {bad, FailureResult(ReasonCertificate)}} {
		prober, err := registry.New(test.def)
		if err != nil {
			t.Fatal(err)
		}
		if got := probeOnce(t, prober, ample); got != test.want {
			t.Errorf("got %+v, want %+v", got, test.want)
		}
	}
}

// TestBundlesAreShared: thousands of endpoints with the same authorities keep one
// copy of them, and none is kept for nobody.
func TestBundlesAreShared(t *testing.T) {
	bundle := newAuthority(t).bundle()
	dialer := testDialer(loopback)
	registry := NewRegistry(dialer)
	var probers []*httpProber
	for range 3 {
		prober, err := registry.New(Definition{
			URL: "https://:443", Address: netip.MustParseAddr("192.0.2.10"), TLS: &TLSSettings{CABundle: bundle},
		})
		if err != nil {
			t.Fatal(err)
		}
		probers = append(probers, prober.(*httpProber))
	}
	if probers[0].first.tls.config.RootCAs != probers[2].first.tls.config.RootCAs {
		t.Error("two probers have a pool of their own")
	}
	runtime.KeepAlive(probers)
	kept := func() int {
		dialer.roots.mu.Lock()
		defer dialer.roots.mu.Unlock()
		return len(dialer.roots.pools)
	}
	for end := time.Now().Add(ample); kept() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a pool that nobody uses is kept")
		}
		runtime.GC()
	}
}

func TestRedirectsAndTLS(t *testing.T) {
	ca := newAuthority(t)
	securely := func(s *site) string {
		place := serve(t, secure(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}, s.talk))
		s.at = place
		return "https://" + place.String()
	}
	settings := &TLSSettings{CABundle: ca.bundle(), ServerName: "legacy.example"}
	follow := func(t *testing.T, s *site, scheme string, tls *TLSSettings) Result {
		def := at(s.at, scheme+":///")
		def.HTTP = &HTTPSettings{FollowRedirects: true, ExpectedBody: regexp.MustCompile("^ok")}
		def.TLS = tls
		return result(t, def, ample)
	}
	t.Run("up to https", func(t *testing.T) {
		start, end := newSite(t), newSite(t).has("/ok", well)
		start.redirects("/", 301, securely(end)+"/ok")
		// The server name is not asked for here, but the address, which is in order.
		if got := follow(t, start, "http", settings); got != SuccessResult() {
			t.Errorf("got %+v", got)
		}
		if got, want := follow(t, start, "http", nil), FailureResult(ReasonCertificate); got != want {
			t.Errorf("without the authority: got %+v, want %+v", got, want)
		}
	})
	t.Run("within https", func(t *testing.T) {
		s := newSite(t).redirects("/", 301, "/ok").has("/ok", well)
		securely(s)
		if got := follow(t, s, "https", settings); got != SuccessResult() {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("elsewhere without our certificate", func(t *testing.T) {
		curious := serve(t, secure(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}, ClientAuth: tls.RequireAnyClientCert}, responding(well)))
		s := newSite(t).redirects("/", 301, "https://"+curious.String()+"/")
		securely(s)
		ours := ca.issue(t, forClients)
		with := &TLSSettings{CABundle: ca.bundle(), ServerName: "legacy.example", ClientCertificate: &ours}
		if got, want := follow(t, s, "https", with), FailureResult(ReasonTLSHandshake); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
	t.Run("down to http", func(t *testing.T) {
		plain := unvisited(t)
		s := newSite(t).redirects("/", 301, "http://"+plain.String()+"/ok")
		securely(s)
		if got, want := follow(t, s, "https", settings), FailureResult(ReasonRedirect); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func benchmarkHTTPSProbe(b *testing.B) {
	ca := newAuthority(b)
	config := &tls.Config{Certificates: []tls.Certificate{ca.issue(b)}}
	def := at(serve(b, secure(config, benchmarkServer())), "https:///health")
	def.TLS = &TLSSettings{CABundle: ca.bundle()}
	benchmark(b, def)
}
