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
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
)

func httpStatus(code uint16) probes.Result {
	return probes.Result{Outcome: probes.Failure, Reason: probes.ReasonStatus, Code: code}
}

// matching are settings that want this of the body.
func matching(expression string) HTTPSettings {
	return HTTPSettings{ExpectedBody: regexp.MustCompile(expression)}
}

type httpCase struct {
	name     string
	response string
	settings HTTPSettings
	want     probes.Result
}

func checkHTTP(t *testing.T, cases []httpCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			def := at(probetest.Serve(t, probetest.Closing(probetest.Responding(test.response))), "http:///health")
			def.HTTP = &test.settings
			if got := result(t, def, probetest.Ample); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestHTTPProbe_Status_DecidesAsExpectedOrDrain(t *testing.T) {
	checkHTTP(t, []httpCase{
		{"200", probetest.Well, HTTPSettings{}, probes.SuccessResult()},
		{"redirect not followed", "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n", HTTPSettings{}, probes.SuccessResult()},
		{"404", "HTTP/1.1 404 Not Found\r\n\r\n", HTTPSettings{}, httpStatus(404)},
		{"503", "HTTP/1.1 503 Service Unavailable\r\n\r\n", HTTPSettings{}, httpStatus(503)},
		{"503 expected", "HTTP/1.1 503 Service Unavailable\r\n\r\n", HTTPSettings{ExpectedStatuses: []StatusRange{{200, 200}, {500, 503}}}, probes.SuccessResult()},
		{"204 not expected", "HTTP/1.1 204 No Content\r\n\r\n", HTTPSettings{ExpectedStatuses: []StatusRange{{200, 200}}}, httpStatus(204)},
		{"strange status", "HTTP/1.1 999 Denied\r\n\r\n", HTTPSettings{}, httpStatus(999)},
		{"503 to drain", "HTTP/1.1 503 Service Unavailable\r\n\r\n", HTTPSettings{DrainStatuses: []StatusRange{{503, 503}}}, aDrain},
		{"503 to drain, whatever the body", "HTTP/1.1 503 Service Unavailable\r\n\r\nok", HTTPSettings{DrainStatuses: []StatusRange{{500, 503}}, ExpectedBody: regexp.MustCompile("ok")}, aDrain},
		{"503 to stand by", "HTTP/1.1 503 Service Unavailable\r\n\r\n", HTTPSettings{StandbyStatuses: []StatusRange{{503, 503}}, DrainStatuses: []StatusRange{{500, 502}}}, aStandby},
		{"500 next to it", "HTTP/1.1 500 Oops\r\n\r\n", HTTPSettings{DrainStatuses: []StatusRange{{501, 503}}}, httpStatus(500)},
		{"200 in spite of it", probetest.Well, HTTPSettings{DrainStatuses: []StatusRange{{503, 503}}}, probes.SuccessResult()},
		{"no reason phrase", "HTTP/1.1 200\r\n\r\n", HTTPSettings{}, probes.SuccessResult()},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nok", matching("^ok$"), probes.SuccessResult()},
		{"bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", matching("^ok$"), probes.SuccessResult()},
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", HTTPSettings{Method: "HEAD"}, probes.SuccessResult()},
		{"204 with a body", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", HTTPSettings{}, probes.SuccessResult()},
		{"204 has no body to match", "HTTP/1.1 204 No Content\r\n\r\nok", matching("ok"), probes.FailureResult(probes.ReasonContent)},
	})
}

func TestHTTPProbe_InterimResponses_AreSkipped(t *testing.T) {
	checkHTTP(t, []httpCase{
		{"100 first", "HTTP/1.1 100 Continue\r\n\r\n" + probetest.Well, HTTPSettings{}, probes.SuccessResult()},
		{"early hints first", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + probetest.Well, HTTPSettings{}, probes.SuccessResult()},
		{"100 without end", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000), HTTPSettings{}, probes.FailureResult(probes.ReasonProtocol)},
		{"100 and end", "HTTP/1.1 100 Continue\r\n\r\n", HTTPSettings{}, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", HTTPSettings{}, httpStatus(101)},
	})
}

func TestHTTPProbe_Body_IsMatchedIfWanted(t *testing.T) {
	checkHTTP(t, []httpCase{
		{"body", probetest.Well, matching("^ok$|^ok\n$"), probes.SuccessResult()},
		{"another body", probetest.Well, matching("healthy"), probes.FailureResult(probes.ReasonContent)},
		{"status before body", "HTTP/1.1 500 Oops\r\n\r\nok", matching("ok"), httpStatus(500)},
		{"empty body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", matching("^$"), probes.SuccessResult()},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", matching("^ok$"), probes.SuccessResult()},
		{"chunked with trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n", matching("^ok$"), probes.SuccessResult()},
		{"chunked, broken", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n", matching("ok"), probes.FailureResult(probes.ReasonProtocol)},
		{"chunked, short", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok", matching("ok"), probes.FailureResult(probes.ReasonConnectionClosed)},
		{"up to the end of the connection", "HTTP/1.1 200 OK\r\n\r\nok", matching("^ok$"), probes.SuccessResult()},
		{"gzip unasked for", "HTTP/1.1 200 OK\r\nContent-Encoding: GZIP\r\n\r\n" + gzipped("it is ok"), matching("^it is ok$"), probes.SuccessResult()},
		{"gzip, empty", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", matching("^$"), probes.SuccessResult()},
		{"no gzip in truth", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nit is ok, it is not gzip", matching("ok"), probes.FailureResult(probes.ReasonProtocol)},
		{"unknown encoding", "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nok", matching("^ok$"), probes.SuccessResult()},
		{"match within the bound", "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("-", 100) + "ok", HTTPSettings{ExpectedBody: regexp.MustCompile("ok"), MaxBodyBytes: 102}, probes.SuccessResult()},
		{"match beyond the bound", "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("-", 100) + "ok", HTTPSettings{ExpectedBody: regexp.MustCompile("ok"), MaxBodyBytes: 101}, probes.FailureResult(probes.ReasonContent)},
	})
}

func TestHTTPProbe_WrongContentLength_MattersForTheBodyOnly(t *testing.T) {
	checkHTTP(t, []httpCase{
		{"content length too long, body not wanted", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok", HTTPSettings{}, probes.SuccessResult()},
		{"content length too long", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok", matching("ok"), probes.FailureResult(probes.ReasonConnectionClosed)},
		{"content length too short", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok, but", matching("^ok$"), probes.SuccessResult()},
		{"content length negative", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok", HTTPSettings{}, probes.SuccessResult()},
		{"content length twice", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok", HTTPSettings{}, probes.SuccessResult()},
	})
}

func TestHTTPProbe_IncompleteOrOtherProtocol_Fails(t *testing.T) {
	checkHTTP(t, []httpCase{
		{"nothing", "", HTTPSettings{}, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"part of the status line", "HTTP/1.1 20", HTTPSettings{}, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"status line only", "HTTP/1.1 200 OK\r\n", HTTPSettings{}, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"part of the headers", "HTTP/1.1 200 OK\r\nContent-Le", HTTPSettings{}, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"garbage", "\x00\x01\x02\x03garbage", HTTPSettings{}, probes.FailureResult(probes.ReasonProtocol)},
		{"SSH", "SSH-2.0-OpenSSH_9.6\r\n", HTTPSettings{}, probes.FailureResult(probes.ReasonProtocol)},
		{"HTTP/0.9", "<html>ok</html>", HTTPSettings{}, probes.FailureResult(probes.ReasonProtocol)},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", HTTPSettings{}, probes.FailureResult(probes.ReasonProtocol)},
		{"HTTP/2 frames", "\x00\x00\x12\x04\x00\x00\x00\x00\x00", HTTPSettings{}, probes.FailureResult(probes.ReasonProtocol)},
		{"no number", "HTTP/1.1 abc OK\r\n\r\n", HTTPSettings{}, probes.FailureResult(probes.ReasonProtocol)},
		{"number too small", "HTTP/1.1 099 OK\r\n\r\n", HTTPSettings{}, probes.FailureResult(probes.ReasonProtocol)},
		{"signed number", "HTTP/1.1 -20 OK\r\n\r\n", HTTPSettings{}, probes.FailureResult(probes.ReasonProtocol)},
		{"header without colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", HTTPSettings{}, probes.SuccessResult()},
		{"TLS", "\x15\x03\x01\x00\x02\x02\x46", HTTPSettings{}, probes.FailureResult(probes.ReasonProtocol)},
	})
}

// TestHTTPProbeOfHostileServers also checks, by probe and serve, that the probe is
// over at its timeout and the connection closed.
func TestHTTPProbeOfHostileServers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<16, strings.Repeat("A", 1<<16))
	for _, test := range []struct {
		name     string
		exchange func(net.Conn)
		timeout  time.Duration
		want     probes.Result
		// wantBody is the request of a probe that wants the body as well.
		wantBody probes.Result
	}{
		{"says nothing", probetest.Silence, probetest.Brief, probes.FailureResult(probes.ReasonTimeout), probes.FailureResult(probes.ReasonTimeout)},
		{"resets", probetest.Aborting(probetest.Silence), probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed), probes.FailureResult(probes.ReasonConnectionClosed)},
		{"resets after the request", probetest.Aborting(func(conn net.Conn) { probetest.ReadRequest(conn) }), probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed), probes.FailureResult(probes.ReasonConnectionClosed)},
		{"banner of another protocol, then waits", probetest.Responding("\x4a\x00\x00\x00\x0a8.0"), probetest.Ample, probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
		{"slow headers", probetest.Dripping(ok, "a"), probetest.Brief, probes.FailureResult(probes.ReasonTimeout), probes.FailureResult(probes.ReasonTimeout)},
		{"headers without end", probetest.Flooding(ok, "A: b\r\n"), probetest.Ample, probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
		{"header without end", probetest.Flooding(ok+"A: ", strings.Repeat("b", 1<<16)), probetest.Ample, probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
		{"status line without end", probetest.Flooding("HTTP/1.1 200 ", strings.Repeat("O", 1<<16)), probetest.Ample, probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
		{"interim responses without end", probetest.Flooding("", "HTTP/1.1 100 Continue\r\n\r\n"), probetest.Ample, probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
		{"interim responses without end, slowly", probetest.Dripping("HTTP/1.1 102 Processing\r\n\r\n", "H"), probetest.Brief, probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
		{"slow body", probetest.Dripping(ok+"\r\n", "a"), probetest.Brief, probes.SuccessResult(), probes.FailureResult(probes.ReasonTimeout)},
		{"slow chunks", probetest.Dripping(ok+"Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n"), probetest.Brief, probes.SuccessResult(), probes.FailureResult(probes.ReasonTimeout)},
		{"endless body", probetest.Flooding(ok+"\r\n", strings.Repeat("A", 1<<16)), probetest.Ample, probes.SuccessResult(), probes.FailureResult(probes.ReasonContent)},
		{"endless body of a length", probetest.Flooding(ok+"Content-Length: 9223372036854775807\r\n\r\n", strings.Repeat("A", 1<<16)), probetest.Ample, probes.SuccessResult(), probes.FailureResult(probes.ReasonContent)},
		{"endless chunks", probetest.Flooding(ok+"Transfer-Encoding: chunked\r\n\r\n", chunk), probetest.Ample, probes.SuccessResult(), probes.FailureResult(probes.ReasonContent)},
		{"endless tiny chunks", probetest.Flooding(ok+"Transfer-Encoding: chunked\r\n\r\n", strings.Repeat("1\r\nA\r\n", 1<<13)), probetest.Ample, probes.SuccessResult(), probes.FailureResult(probes.ReasonContent)},
		{"endless chunk extension", probetest.Flooding(ok+"Transfer-Encoding: chunked\r\n\r\n1;", strings.Repeat("A", 1<<16)), probetest.Ample, probes.SuccessResult(), probes.FailureResult(probes.ReasonProtocol)},
		{"endless trailers", probetest.Flooding(ok+"Transfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n"), probetest.Ample, probes.SuccessResult(), probes.FailureResult(probes.ReasonProtocol)},
		{"gzip bomb", probetest.Flooding(ok+"Content-Encoding: gzip\r\n\r\n", gzipped(strings.Repeat("A", 1<<24))), probetest.Ample, probes.SuccessResult(), probes.FailureResult(probes.ReasonContent)},
		{"endless empty gzip members", probetest.Flooding(ok+"Content-Encoding: gzip\r\n\r\n", gzipped("")), probetest.Ample, probes.SuccessResult(), probes.FailureResult(probes.ReasonContent)},
	} {
		t.Run(test.name, func(t *testing.T) {
			def := at(probetest.Serve(t, test.exchange), "http://")
			if got := result(t, def, test.timeout); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			def.HTTP = &HTTPSettings{ExpectedBody: regexp.MustCompile("healthy"), MaxBodyBytes: MaxBodyBytes}
			if got := result(t, def, test.timeout); got != test.wantBody {
				t.Errorf("wanting the body: got %+v, want %+v", got, test.wantBody)
			}
		})
	}
}

func TestHTTPProbeMemoryIsBounded(t *testing.T) {
	for name, exchange := range map[string]func(net.Conn){
		"endless body": probetest.Flooding("HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("A", 1<<16)),
		"gzip bomb":    probetest.Flooding("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzipped(strings.Repeat("A", 1<<24))),
		"headers":      probetest.Flooding("HTTP/1.1 200 OK\r\n", strings.Repeat("A: b\r\n", 1000)),
		"header names": probetest.Flooding("HTTP/1.1 200 OK\r\n", distinctHeaders(1<<15)),
	} {
		t.Run(name, func(t *testing.T) {
			def := at(probetest.Serve(t, exchange), "http://")
			def.HTTP = &HTTPSettings{ExpectedBody: regexp.MustCompile("healthy"), MaxBodyBytes: MaxBodyBytes}
			testMemoryIsBounded(t, def)
		})
	}
}

func distinctHeaders(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "%x:\n", i)
	}
	return b.String()
}

func TestHTTPProbeOfNothing(t *testing.T) {
	for _, test := range []struct {
		name     string
		endpoint netip.AddrPort
		want     probes.Result
	}{
		{"refused", probetest.Refusing(t), probes.FailureResult(probes.ReasonConnectionRefused)},
		{"black hole", probetest.BlackHole(t), probes.FailureResult(probes.ReasonTimeout)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := result(t, at(test.endpoint, "http://"), probetest.Brief); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestHTTPProbeOfBusyServer: some servers answer and close as soon as they see the
// connection.
func TestHTTPProbeOfBusyServer(t *testing.T) {
	busy := func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	}
	def := at(probetest.Serve(t, probetest.Closing(busy)), "http://")
	for range 50 {
		if got, want := result(t, def, probetest.Ample), httpStatus(503); got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
}

func TestHTTPProbeCanceled(t *testing.T) {
	for name, response := range map[string]string{
		"awaiting the response": "",
		"awaiting the headers":  "HTTP/1.1 200 OK\r\n",
		"awaiting the body":     "HTTP/1.1 200 OK\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			accepted := make(chan struct{})
			def := at(probetest.Serve(t, func(conn net.Conn) {
				probetest.Responding(response)(conn)
				close(accepted)
			}), "http://")
			def.HTTP = &HTTPSettings{ExpectedBody: regexp.MustCompile("ok")}
			testCanceled(t, def, accepted)
		})
	}
}

// TestHTTPProbeAgainstNetHTTP probes the standard library's server.
func TestHTTPProbeAgainstNetHTTP(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.URL.Path != "/health" || r.Method != http.MethodPost || r.Host != "legacy.example" || !r.Close {
			t.Errorf("got %s %s of %s", r.Method, r.URL, r.Host)
		}
		_, _ = io.WriteString(w, strings.Repeat("fine ", 10_000))
	}))
	listener, err := net.Listen("tcp", probetest.Ipv6Loopback(t))
	if err != nil {
		t.Fatal(err)
	}
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	defer server.Close()
	def := at(probetest.AddrOf(listener), "http:///health?deep")
	def.HTTP = &HTTPSettings{Method: "POST", Host: "legacy.example", ExpectedBody: regexp.MustCompile("^(fine )+")}
	if got := result(t, def, probetest.Ample); got != probes.SuccessResult() {
		t.Errorf("got %+v", got)
	}
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests for one probe", n)
	}
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	w.Close()
	return b.String()
}

func benchmarkHTTPProbe(b *testing.B) {
	endpoint := probetest.Serve(b, benchmarkServer())
	benchmark(b, at(endpoint, "http:///health"))
}

// benchmarkServer answers at the least cost of its own, which a benchmark includes. It closes
// first, like servers that are asked to, and so the prober's side uses up no ports.
func benchmarkServer() func(net.Conn) {
	response := []byte("HTTP/1.1 200 OK\r\nServer: test\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n" +
		"Content-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
	return func(conn net.Conn) {
		var request [512]byte
		if _, err := conn.Read(request[:]); err == nil {
			_, _ = conn.Write(response)
		}
		conn.Close()
	}
}
