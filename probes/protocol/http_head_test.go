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
	"regexp"
	"strings"
	"testing"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
)

// The start of a head and its end, with a body.
const okStatus, endOfHead = "HTTP/1.1 200 OK\r\n", "\r\nok"

// checkHeads expects probes to pass, whether they want the body or not.
func checkHeads(t *testing.T, responses map[string]string) {
	t.Helper()
	for name, response := range responses {
		t.Run(name, func(t *testing.T) {
			def := at(probetest.Serve(t, probetest.Closing(probetest.Responding(response))), "http://")
			if got := result(t, def, probetest.Ample); got != probes.SuccessResult() {
				t.Errorf("got %+v", got)
			}
			def.HTTP = &HTTPSettings{ExpectedBody: regexp.MustCompile("^ok$")}
			if got := result(t, def, probetest.Ample); got != probes.SuccessResult() {
				t.Errorf("asked for the body as well: got %+v", got)
			}
		})
	}
}

func TestHTTPProbe_OddFraming_Passes(t *testing.T) {
	checkHeads(t, map[string]string{
		"transfer encoding twice":                  okStatus + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"transfer encoding twice in one line":      okStatus + "Transfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"transfer encoding identity":               okStatus + "Transfer-Encoding: identity\r\n" + endOfHead,
		"transfer encoding identity and a length":  okStatus + "Transfer-Encoding: identity\r\nContent-Length: 2\r\n" + endOfHead,
		"transfer encoding identity, then chunked": okStatus + "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"transfer encoding and a length":           okStatus + "Transfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"transfer encoding in HTTP/1.0":            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"transfer encoding that nobody knows":      okStatus + "Transfer-Encoding: rot13\r\n" + endOfHead,
		"content length twice, the same":           okStatus + "Content-Length: 2\r\nContent-Length: 2\r\n" + endOfHead,
		"content length twice, the larger first":   okStatus + "Content-Length: 5\r\nContent-Length: 2\r\n" + endOfHead,
		"content length twice, the larger last":    okStatus + "Content-Length: 2\r\nContent-Length: 5\r\n" + endOfHead,
		"content length twice in one line":         okStatus + "Content-Length: 2, 2\r\n" + endOfHead,
		"content length that is no number":         okStatus + "Content-Length: two\r\n" + endOfHead,
		"content length that is empty":             okStatus + "Content-Length:\r\n" + endOfHead,
		"content length with a sign":               okStatus + "Content-Length: +2\r\n" + endOfHead,
		"content length beyond 64 bits":            okStatus + "Content-Length: 99999999999999999999\r\nContent-Length: 2\r\n" + endOfHead,
	})
}

func TestHTTPProbe_OddStatusLine_Passes(t *testing.T) {
	checkHeads(t, map[string]string{
		"empty line first":                "\r\n" + okStatus + endOfHead,
		"many empty lines first":          strings.Repeat("\r\n", 50) + "\n\n" + okStatus + endOfHead,
		"version in small letters":        "http/1.1 200 OK\r\n" + endOfHead,
		"version in mixed letters":        "Http/1.1 200 OK\r\n" + endOfHead,
		"HTTP/1.0":                        "HTTP/1.0 200 OK\r\n" + endOfHead,
		"HTTP/1.2":                        "HTTP/1.2 200 OK\r\n" + endOfHead,
		"HTTP/1":                          "HTTP/1 200 OK\r\n" + endOfHead,
		"no reason phrase":                "HTTP/1.1 200\r\n" + endOfHead,
		"no reason phrase but its blank":  "HTTP/1.1 200 \r\n" + endOfHead,
		"blanks in the status line":       "HTTP/1.1   200   OK  \r\n" + endOfHead,
		"tabs in the status line":         "HTTP/1.1\t200\tOK\r\n" + endOfHead,
		"reason phrase without a blank":   "HTTP/1.1 200OK\r\n" + endOfHead,
		"substatus":                       "HTTP/1.1 200.1 OK\r\n" + endOfHead,
		"reason phrase in another script": "HTTP/1.1 200 \xd0\x94\xd0\xb0\xff\r\n" + endOfHead,
	})
}

func TestHTTPProbe_OddHeaders_Passes(t *testing.T) {
	header := func(bytes int) string { return "X-Filling: " + strings.Repeat("a", bytes) + "\r\n" }
	checkHeads(t, map[string]string{
		"line feeds alone":                   "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
		"line feeds and both mixed":          "HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nok",
		"folded header":                      okStatus + "X-Long: a\r\n b\r\n\tc\r\n" + endOfHead,
		"folded length":                      okStatus + "Content-Length:\r\n 2\r\n" + endOfHead,
		"fold ahead of all headers":          okStatus + " b\r\n" + endOfHead,
		"blank before the colon":             okStatus + "Content-Length : 2\r\nServer\t: x\r\n" + endOfHead,
		"blank before a name after another":  okStatus + "Server: x\r\n Content-Length: 2\r\n" + endOfHead,
		"header without a colon":             okStatus + "nonsense\r\n" + endOfHead,
		"header without a name":              okStatus + ": nonsense\r\n" + endOfHead,
		"header with bytes of no header":     okStatus + "X-\x00\x01(y): \xff\x00\x7f\r\n" + endOfHead,
		"head of 16 KiB":                     okStatus + header(16<<10) + endOfHead,
		"head of 64 KiB":                     okStatus + header(64<<10) + endOfHead,
		"head of 64 KiB in small headers":    okStatus + strings.Repeat(header(50), 1<<10) + endOfHead,
		"status line of 20 KiB":              "HTTP/1.1 200 " + strings.Repeat("OK ", 7000) + "\r\n" + endOfHead,
		"twenty early hints":                 strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 20) + okStatus + endOfHead,
		"a hundred interim responses":        strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 100) + okStatus + endOfHead,
		"interim responses and a length":     "HTTP/1.1 100 Continue\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n" + okStatus + endOfHead,
		"empty lines between interim ones":   "HTTP/1.1 100 Continue\r\n\r\n\r\n\r\nHTTP/1.1 200 OK\r\n" + endOfHead,
		"chunks with bare line feeds":        okStatus + "Transfer-Encoding: chunked\n\n2\nok\n0\n\n",
		"chunks with blanks and zeros":       okStatus + "Transfer-Encoding: chunked\r\n\r\n0002 \r\nok\r\n000\r\n\r\n",
		"chunks with extensions and trailer": okStatus + "Transfer-Encoding: chunked\r\n\r\n2;a=\"b\"\r\nok\r\n0;c\r\nX: y\r\n\r\n",
	})
}

func TestHTTPProbe_BrokenBodyThatNobodyAskedFor_Passes(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, response := range map[string]string{
		"chunks that are none":       ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n",
		"chunks that end early":      ok + "Transfer-Encoding: chunked\r\n\r\n9\r\nok",
		"length that is too long":    ok + "Content-Length: 100\r\n\r\nok",
		"length that is too short":   ok + "Content-Length: 1\r\n\r\nok",
		"gzip that is none":          ok + "Content-Encoding: gzip\r\n\r\nok",
		"length and no body":         ok + "Content-Length: 2\r\n\r\n",
		"another response behind it": probetest.Well + probetest.Well,
	} {
		t.Run(name, func(t *testing.T) {
			if got := result(t, at(probetest.Serve(t, probetest.Closing(probetest.Responding(response))), "http://"), probetest.Ample); got != probes.SuccessResult() {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestHTTPProbe_NoStatusLine_IsAProtocolError(t *testing.T) {
	for name, response := range map[string]string{
		"HTTP/2 in words":       "HTTP/2 200 OK\r\n\r\n",
		"HTTP/3.0":              "HTTP/3.0 200 OK\r\n\r\n",
		"HTTP/10.1":             "HTTP/10.1 200 OK\r\n\r\n",
		"HTTP/1x1":              "HTTP/1x1 200 OK\r\n\r\n",
		"no version":            "HTTP/ 200 OK\r\n\r\n",
		"no status":             "HTTP/1.1\r\n\r\n",
		"words for the status":  "HTTP/1.1 OK\r\n\r\n",
		"two digits":            "HTTP/1.1 20 OK\r\n\r\n",
		"four digits":           "HTTP/1.1 2000 OK\r\n\r\n",
		"headers and no status": "Content-Length: 2\r\n\r\nok",
		"Shoutcast":             "ICY 200 OK\r\n\r\n",
		"RTSP":                  "RTSP/1.0 200 OK\r\n\r\n",
		"SIP behind empty line": "\r\n\r\nSIP/2.0 200 OK\r\n\r\n",
		"FTP":                   "220 (vsFTPd 3.0.5)\r\n",
		"a blank first":         " HTTP/1.1 200 OK\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			if got, want := result(t, at(probetest.Serve(t, probetest.Responding(response)), "http://"), probetest.Ample), probes.FailureResult(probes.ReasonProtocol); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
