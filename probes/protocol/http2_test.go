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
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
	"farpoint.dev/farpoint/test/effort"
	"farpoint.dev/farpoint/test/servers"
)

// over2 is a definition of a probe by HTTP/2 that wants this body, or none if it is empty.
func over2(addr netip.AddrPort, body string) Definition {
	def := at(addr, "http:///health version=HTTP2")
	if body != "" {
		def.HTTP = &HTTPSettings{ExpectedBody: regexp.MustCompile(body), MaxBodyBytes: MaxBodyBytes}
	}
	return def
}

// answering2 is a server that answers with a head, in pairs, and a body in pieces.
func answering2(pairs []string, pieces ...string) func(net.Conn) {
	return frames(func(framer *http2.Framer) {
		_ = framer.WriteSettings()
		headers(framer, len(pieces) == 0, pairs...)
		for i, piece := range pieces {
			_ = framer.WriteData(1, i == len(pieces)-1, []byte(piece))
		}
	})
}

type http2Case struct {
	name     string
	exchange func(net.Conn)
	settings HTTPSettings
	want     probes.Result
}

func checkHTTP2(t *testing.T, cases []http2Case) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			def := over2(probetest.Serve(t, test.exchange), "")
			def.HTTP = &test.settings
			if got := result(t, def, probetest.Ample); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestHTTP2Probe_Response_DecidesByStatusAndBody(t *testing.T) {
	status := func(code string, more ...string) []string { return append([]string{":status", code}, more...) }
	checkHTTP2(t, []http2Case{
		{"200", answering2(status("200")), HTTPSettings{}, probes.SuccessResult()},
		{"200, with a body that nobody wants", answering2(status("200"), strings.Repeat("A", 1000)), HTTPSettings{}, probes.SuccessResult()},
		{"404", answering2(status("404")), HTTPSettings{}, httpStatus(404)},
		{"503 to stand by", answering2(status("503")), HTTPSettings{StandbyStatuses: []StatusRange{{503, 503}}}, aStandby},
		{"503 to drain", answering2(status("503")), HTTPSettings{DrainStatuses: []StatusRange{{503, 503}}}, aDrain},
		{"strange status", answering2(status("999")), HTTPSettings{}, httpStatus(999)},
		{"redirect not followed", answering2(status("302", "location", "http://192.0.2.1/")), HTTPSettings{}, probes.SuccessResult()},
		{"HEAD", answering2(status("200", "content-length", "1000")), HTTPSettings{Method: "HEAD"}, probes.SuccessResult()},
		{"body", answering2(status("200"), "it ", "is", " ok"), HTTPSettings{ExpectedBody: regexp.MustCompile("^it is ok$")}, probes.SuccessResult()},
		{"empty pieces", answering2(status("200"), "", "ok", "", ""), HTTPSettings{ExpectedBody: regexp.MustCompile("^ok$")}, probes.SuccessResult()},
		{"no body", answering2(status("200")), HTTPSettings{ExpectedBody: regexp.MustCompile("^$")}, probes.SuccessResult()},
		{"another body", answering2(status("200"), "no"), HTTPSettings{ExpectedBody: regexp.MustCompile("ok")}, probes.FailureResult(probes.ReasonContent)},
		{"status before body", answering2(status("500"), "ok"), HTTPSettings{ExpectedBody: regexp.MustCompile("ok")}, httpStatus(500)},
		{"gzip unasked for", answering2(status("200", "content-encoding", "GZIP"), gzipped("it is ok")), HTTPSettings{ExpectedBody: regexp.MustCompile("^it is ok$")}, probes.SuccessResult()},
		{"gzip, empty", answering2(status("200", "content-encoding", "gzip")), HTTPSettings{ExpectedBody: regexp.MustCompile("^$")}, probes.SuccessResult()},
		{"no gzip in truth", answering2(status("200", "content-encoding", "gzip"), "it is ok, it is not gzip"), HTTPSettings{ExpectedBody: regexp.MustCompile("ok")}, probes.FailureResult(probes.ReasonProtocol)},
		{"match within the bound", answering2(status("200"), strings.Repeat("-", 100)+"ok"), HTTPSettings{ExpectedBody: regexp.MustCompile("ok"), MaxBodyBytes: 102}, probes.SuccessResult()},
		{"match beyond the bound", answering2(status("200"), strings.Repeat("-", 100)+"ok"), HTTPSettings{ExpectedBody: regexp.MustCompile("ok"), MaxBodyBytes: 101}, probes.FailureResult(probes.ReasonContent)},
		{"no status", answering2([]string{"server", "odd"}), HTTPSettings{}, probes.FailureResult(probes.ReasonProtocol)},
		{"no number", answering2(status("abc")), HTTPSettings{}, probes.FailureResult(probes.ReasonProtocol)},
		{"number too small", answering2(status("099")), HTTPSettings{}, probes.FailureResult(probes.ReasonProtocol)},
		{"header in capitals", answering2(status("200", "Server", "odd")), HTTPSettings{}, probes.FailureResult(probes.ReasonProtocol)},
		{"head of 64 KiB", answering2(status("200", "x-long", strings.Repeat("~", 64<<10))), HTTPSettings{}, probes.SuccessResult()},
		{"head of 64 KiB in small headers", answering2(append(status("200"), slices.Repeat([]string{"x-filling", strings.Repeat("~", 20)}, 2<<10)...)), HTTPSettings{}, probes.SuccessResult()},
	})
}

func TestHTTP2Probe_OtherFramesBesideTheResponse_AreAccepted(t *testing.T) {
	checkHTTP2(t, []http2Case{
		{"interim first", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			headers(framer, false, ":status", "103")
			headers(framer, true, ":status", "200")
		}), HTTPSettings{}, probes.SuccessResult()},
		{"interim and end", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			headers(framer, true, ":status", "103")
		}), HTTPSettings{}, probes.FailureResult(probes.ReasonProtocol)},
		{"padding, trailers and other frames between", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			headers(framer, false, ":status", "200")
			_ = framer.WritePing(false, [8]byte{1})
			_ = framer.WriteDataPadded(1, false, []byte("o"), make([]byte, 200))
			_ = framer.WriteWindowUpdate(1, 100)
			_ = framer.WriteRawFrame(0xbe, 0, 1, []byte("unknown"))
			_ = framer.WriteGoAway(1, http2.ErrCodeNo, nil)
			_ = framer.WriteData(1, false, []byte("k"))
			headers(framer, true, "checksum", "1")
		}), HTTPSettings{ExpectedBody: regexp.MustCompile("^ok$")}, probes.SuccessResult()},
		{"headers in pieces", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true})
			_ = framer.WriteContinuation(1, false, nil)
			_ = framer.WriteContinuation(1, true, []byte{0x88}) // :status 200
		}), HTTPSettings{}, probes.SuccessResult()},
	})
}

func TestHTTP2ProbeCanceled(t *testing.T) {
	accepted := make(chan struct{})
	testCanceled(t, over2(probetest.Serve(t, func(net.Conn) { close(accepted) }), "ok"), accepted)
}

// TestHTTP2ProbeEndsPolitely looks at what the server reads.
func TestHTTP2ProbeEndsPolitely(t *testing.T) {
	for name, test := range map[string]struct {
		ended bool
		want  []string
	}{
		"answered":      {true, []string{"SETTINGS", "WINDOW_UPDATE", "HEADERS", "SETTINGS", "GOAWAY"}},
		"body left out": {false, []string{"SETTINGS", "WINDOW_UPDATE", "HEADERS", "SETTINGS", "RST_STREAM", "GOAWAY"}},
	} {
		t.Run(name, func(t *testing.T) {
			seen := make(chan string, 10)
			addr := probetest.Serve(t, frames(func(framer *http2.Framer) {
				_ = framer.WriteSettings()
				headers(framer, test.ended, ":status", "200")
				tellFrames(framer, seen)
			}))
			if got := result(t, over2(addr, ""), probetest.Ample); got != probes.SuccessResult() {
				t.Fatalf("got %+v", got)
			}
			wantFrames(t, seen, test.want...)
		})
	}
}

// speakingBoth runs net/http's server, which speaks both versions, in plain and by TLS.
func speakingBoth(t testing.TB, handler http.HandlerFunc) (plaintext, encrypted netip.AddrPort, trust *transport.TLSSettings) {
	t.Helper()
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	first := httptest.NewUnstartedServer(handler)
	first.Config.Protocols = &protocols
	first.Start()
	t.Cleanup(first.Close)
	ca := probetest.NewAuthority(t)
	second := httptest.NewUnstartedServer(handler)
	second.EnableHTTP2 = true
	second.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}}
	second.StartTLS()
	t.Cleanup(second.Close)
	return probetest.AddrOf(first.Listener), probetest.AddrOf(second.Listener), &transport.TLSSettings{CABundle: ca.Bundle()}
}

// TestHTTP2ProbeAgainstNetHTTP probes the standard library's server at random, by both
// versions. Either must come to the same.
func TestHTTP2ProbeAgainstNetHTTP(t *testing.T) {
	page := func(w http.ResponseWriter, r *http.Request) {
		random := rand.New(rand.NewPCG(uint64(len(r.URL.RawQuery)), uint64(r.URL.RawQuery[0])))
		if r.Host != "legacy.example" || r.Header.Get("X-Mine") != "yes" || strings.Contains(r.URL.RawQuery, "http2") {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		for i := range random.IntN(50) {
			w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("a", random.IntN(200)))
		}
		body := []byte(strings.Repeat("fine ", random.IntN(30_000)))
		if random.IntN(4) == 0 {
			w.Header().Set("Content-Encoding", "gzip")
			body = []byte(gzipped(string(body)))
		}
		if random.IntN(4) == 0 {
			w.Header().Set("Location", "/again?"+r.URL.RawQuery+"x")
		}
		w.WriteHeader([]int{200, 204, 301, 302, 307, 404, 500, 503}[random.IntN(8)])
		for len(body) > 0 {
			n := min(len(body), 1+random.IntN(20_000))
			_, _ = w.Write(body[:n])
			body = body[n:]
		}
	}
	plaintext, encrypted, trust := speakingBoth(t, page)
	seen := map[probes.Result]int{}
	for seed := range uint64(effort.Rounds(300, 30)) {
		random := rand.New(rand.NewPCG(seed, 8))
		settings := HTTPSettings{Host: "legacy.example", Headers: []Header{{"X-Mine", "yes"}}, FollowRedirects: random.IntN(2) == 0,
			Method: []string{"GET", "HEAD", "POST", "OPTIONS"}[random.IntN(4)], MaxBodyBytes: 1 + random.IntN(MaxBodyBytes)}
		if settings.Method != "HEAD" && random.IntN(2) == 0 {
			settings.ExpectedBody = regexp.MustCompile("^(fine )+fi?n?e?$")
		}
		query := string(rune('a'+random.IntN(26))) + strings.Repeat("x", random.IntN(40))
		var results []probes.Result
		for _, def := range []Definition{
			at(plaintext, "http:///?"+query), at(plaintext, "http:///?"+query+" version=HTTP2"),
			at(encrypted, "https:///?"+query), at(encrypted, "https:///?"+query+" version=HTTP2"),
		} {
			def.HTTP, def.TLS = &settings, trust
			results = append(results, result(t, def, probetest.Ample))
		}
		seen[results[0]]++
		if slices.ContainsFunc(results, func(r probes.Result) bool { return r != results[0] }) {
			t.Errorf("seed %d, %+v: HTTP/1.1 and HTTP/2, then both by TLS: %+v", seed, settings, results)
		}
	}
	if len(seen) < 5 || seen[httpStatus(http.StatusTeapot)] > 0 {
		t.Errorf("the results were only %v", seen)
	}
}

func TestHTTP2ProbeRedirects(t *testing.T) {
	var versions []string
	other, _, _ := speakingBoth(t, func(_ http.ResponseWriter, r *http.Request) {
		versions = append(versions, r.Proto+" "+r.Header.Get("Authorization"))
	})
	plaintext, encrypted, trust := speakingBoth(t, func(w http.ResponseWriter, r *http.Request) {
		versions = append(versions, r.Proto+" "+r.Header.Get("Authorization"))
		if to := map[string]string{"/here": "/", "/there": "http://" + other.String() + "/"}[r.URL.Path]; to != "" {
			http.Redirect(w, r, to, http.StatusFound)
		}
	})
	for _, test := range []struct {
		addr netip.AddrPort
		url  string
		want string
	}{
		{plaintext, "http:///here version=HTTP2", "HTTP/2.0 Bearer s3cret, HTTP/2.0 Bearer s3cret"},
		{encrypted, "https:///here version=HTTP2", "HTTP/2.0 Bearer s3cret, HTTP/2.0 Bearer s3cret"},
		{plaintext, "http:///there version=HTTP2", "HTTP/2.0 Bearer s3cret, HTTP/2.0 "},
		{plaintext, "http:///here", "HTTP/1.1 Bearer s3cret, HTTP/1.1 Bearer s3cret"},
	} {
		versions = nil
		def := at(test.addr, test.url)
		def.HTTP, def.TLS = &HTTPSettings{FollowRedirects: true}, trust
		def.Credentials, def.SendCredentialsToUnverifiedServers = &Credentials{Token: "s3cret"}, true
		if got := result(t, def, probetest.Ample); got != probes.SuccessResult() {
			t.Errorf("%s: got %+v", test.url, got)
		}
		if got := strings.Join(versions, ", "); got != test.want {
			t.Errorf("%s: got %q, want %q", test.url, got, test.want)
		}
	}
}

func TestHTTPSByHTTP2(t *testing.T) {
	ca := probetest.NewAuthority(t)
	answer := answering2([]string{":status", "200"})
	server := func(certificate tls.Certificate, protocols ...string) netip.AddrPort {
		return probetest.Serve(t, probetest.Secure(&tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: protocols}, answer))
	}
	for _, test := range []struct {
		name string
		addr netip.AddrPort
		want probes.Result
	}{
		{"HTTP/2", server(ca.Issue(t), alpnHTTP2), probes.SuccessResult()},
		{"both", server(ca.Issue(t), alpnHTTP2, alpnHTTP1), probes.SuccessResult()},
		{"both, but HTTP/1.1 rather", server(ca.Issue(t), alpnHTTP1, alpnHTTP2), probes.FailureResult(probes.ReasonALPN)},
		{"HTTP/1.1 only", server(ca.Issue(t), alpnHTTP1), probes.FailureResult(probes.ReasonALPN)},
		{"no ALPN", server(ca.Issue(t)), probes.FailureResult(probes.ReasonALPN)},
		{"another protocol", server(ca.Issue(t), "smtp"), probes.FailureResult(probes.ReasonALPN)},
		{"expired", server(ca.Issue(t, probetest.Expired), alpnHTTP2), probes.FailureResult(probes.ReasonCertificate)},
		{"no TLS", probetest.Serve(t, answer), probes.FailureResult(probes.ReasonProtocol)},
	} {
		t.Run(test.name, func(t *testing.T) {
			def := at(test.addr, "https:/// version=HTTP2")
			def.TLS = &transport.TLSSettings{CABundle: ca.Bundle()}
			prober := prepare(t, def)
			for range 2 { // in full, and resuming
				if got := probeOnce(t, prober, probetest.Ample); got != test.want {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
			}
		})
	}
}

func TestHTTP2ProbesOfNginx(t *testing.T) {
	ca := probetest.NewAuthority(t)
	plaintext, encrypted, old := probetest.Refusing(t), probetest.Refusing(t), probetest.Refusing(t)
	site := `location /ok { return 200 "it is ok"; } location /moved { return 302 /ok; } location /away { return 503; }
		location /big { alias BIG; } location /lost { return 444; }`
	server := servers.NewNginx(t)
	site = strings.ReplaceAll(site, "BIG", server.File(strings.Repeat("A", 1<<22)))
	server.Serve(plaintext, fmt.Sprintf(`
		server { listen %s http2; %s }
		server { listen %s ssl http2; %s %s }
		server { listen %s ssl; %s %s }`,
		plaintext, site, encrypted, server.TLS(inPEM(t, ca.Issue(t))), site, old, server.TLS(inPEM(t, ca.Issue(t))), site))
	probe := func(path string, settings HTTPSettings, timeout time.Duration, want probes.Result) {
		t.Helper()
		for _, def := range []Definition{at(plaintext, "http://"+path+" version=HTTP2"), at(encrypted, "https://"+path+" version=HTTP2"), at(encrypted, "https://"+path)} {
			def.HTTP, def.TLS = &settings, &transport.TLSSettings{CABundle: ca.Bundle()}
			if got := result(t, def, timeout); got != want {
				t.Errorf("%s: got %+v, want %+v", def.URL, got, want)
			}
		}
	}
	matching := func(expression string) HTTPSettings {
		return HTTPSettings{ExpectedBody: regexp.MustCompile(expression)}
	}
	probe("/ok", HTTPSettings{}, probetest.Ample, probes.SuccessResult())
	probe("/ok", matching("^it is ok$"), probetest.Ample, probes.SuccessResult())
	probe("/ok", matching("healthy"), probetest.Ample, probes.FailureResult(probes.ReasonContent))
	probe("/ok", HTTPSettings{Method: "HEAD"}, probetest.Ample, probes.SuccessResult())
	probe("/moved", HTTPSettings{}, probetest.Ample, probes.SuccessResult())
	probe("/moved", HTTPSettings{FollowRedirects: true, ExpectedStatuses: []StatusRange{{200, 200}}, ExpectedBody: regexp.MustCompile("ok")}, probetest.Ample, probes.SuccessResult())
	probe("/away", HTTPSettings{}, probetest.Ample, httpStatus(503))
	probe("/away", HTTPSettings{DrainStatuses: []StatusRange{{500, 599}}}, probetest.Ample, aDrain)
	probe("/nowhere", HTTPSettings{}, probetest.Ample, httpStatus(404))
	probe("/big", HTTPSettings{}, probetest.Ample, probes.SuccessResult())
	probe("/big", HTTPSettings{ExpectedBody: regexp.MustCompile("^A+$"), MaxBodyBytes: MaxBodyBytes}, probetest.Ample, probes.SuccessResult())
	probe("/lost", HTTPSettings{}, probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed))

	def := at(old, "https:///ok version=HTTP2")
	def.TLS = &transport.TLSSettings{CABundle: ca.Bundle()}
	if got, want := result(t, def, probetest.Ample), probes.FailureResult(probes.ReasonALPN); got != want {
		t.Errorf("without HTTP/2: got %+v, want %+v", got, want)
	}
	if got := result(t, at(plaintext, "http:///ok"), probetest.Ample); got.Outcome != probes.Failure {
		t.Errorf("HTTP/1.1 to where HTTP/2 is spoken: got %+v", got)
	}
	server.Freeze()
	probe("/ok", HTTPSettings{}, probetest.Brief, probes.FailureResult(probes.ReasonTimeout))
	server.Thaw()
	probe("/ok", HTTPSettings{}, probetest.Ample, probes.SuccessResult())
	server.Stop()
	probe("/ok", HTTPSettings{}, probetest.Ample, probes.FailureResult(probes.ReasonConnectionRefused))
}

// benchmarkHTTP2Probe asks a server that costs as little as can be.
func benchmarkHTTP2Probe(b *testing.B) {
	var answer bytes.Buffer
	framer := http2.NewFramer(&answer, nil)
	_ = framer.WriteSettings()
	headers(framer, false, ":status", "200", "server", "test", "content-type", "text/plain", "content-length", "3")
	_ = framer.WriteData(1, true, []byte("ok\n"))
	benchmark(b, over2(probetest.Serve(b, func(conn net.Conn) {
		if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err == nil {
			_, _ = conn.Write(answer.Bytes())
		}
	}), ""))
}
