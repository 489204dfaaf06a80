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
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
)

func TestHTTPRequest(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")
	for _, test := range []struct {
		name     string
		def      Definition
		settings HTTPSettings
		want     []string
	}{
		{"everything left out", Definition{URL: "http://", Address: v4, Port: 8080}, HTTPSettings{},
			[]string{"GET / HTTP/1.1", "Host: 192.0.2.10:8080", "User-Agent: farpoint/1", "Accept: */*", "Connection: close"}},
		{"path and query", Definition{URL: "http:///a%20b/ü?q=1&r=%20", Address: v4, Port: 8080}, HTTPSettings{},
			[]string{"GET /a%20b/%C3%BC?q=1&r=%20 HTTP/1.1", "Host: 192.0.2.10:8080", "User-Agent: farpoint/1", "Accept: */*", "Connection: close"}},
		{"IPv6", Definition{URL: "http:///", Address: v6, Port: 8080}, HTTPSettings{},
			[]string{"GET / HTTP/1.1", "Host: [2001:db8::10]:8080", "User-Agent: farpoint/1", "Accept: */*", "Connection: close"}},
		{"IPv6, scheme's own port", Definition{URL: "http:///", Address: v6, Port: 80}, HTTPSettings{},
			[]string{"GET / HTTP/1.1", "Host: [2001:db8::10]", "User-Agent: farpoint/1", "Accept: */*", "Connection: close"}},
		{"https, scheme's own port", Definition{URL: "https://legacy.example", Address: v4, Port: 443}, HTTPSettings{},
			[]string{"GET / HTTP/1.1", "Host: legacy.example", "User-Agent: farpoint/1", "Accept: */*", "Connection: close"}},
		{"as written", Definition{URL: "http://Legacy.Example:80/", Address: v4, Port: 8080}, HTTPSettings{},
			[]string{"GET / HTTP/1.1", "Host: Legacy.Example:80", "User-Agent: farpoint/1", "Accept: */*", "Connection: close"}},
		{"endpoint's port", Definition{URL: "http://legacy.example/", Address: v4, Port: 8080}, HTTPSettings{},
			[]string{"GET / HTTP/1.1", "Host: legacy.example:8080", "User-Agent: farpoint/1", "Accept: */*", "Connection: close"}},
		{"endpoint's address", Definition{URL: "http://:9090/", Address: v4, Port: 8080}, HTTPSettings{},
			[]string{"GET / HTTP/1.1", "Host: 192.0.2.10:9090", "User-Agent: farpoint/1", "Accept: */*", "Connection: close"}},
		{"a query, which is the endpoint's", Definition{URL: "http:///?a=1&http2=true&;b=%zz&&%68ttp2=true&proxyProtocol=v1&c", Address: v4, Port: 80}, HTTPSettings{},
			[]string{"GET /?a=1&http2=true&;b=%zz&&%68ttp2=true&proxyProtocol=v1&c HTTP/1.1", "Host: 192.0.2.10", "User-Agent: farpoint/1", "Accept: */*", "Connection: close"}},
		{"an empty query", Definition{URL: "http:///a?", Address: v4, Port: 80}, HTTPSettings{},
			[]string{"GET /a? HTTP/1.1", "Host: 192.0.2.10", "User-Agent: farpoint/1", "Accept: */*", "Connection: close"}},
		{"all settings", Definition{URL: "http:///", Address: v4, Port: 8080},
			HTTPSettings{Method: "POST", Host: "legacy.example:81", Headers: []Header{{"user-agent", "mine"}, {"ACCEPT", "text/plain"}, {"X-Twice", "1"}, {"X-Twice", "2"}}},
			[]string{"POST / HTTP/1.1", "Host: legacy.example:81", "user-agent: mine", "ACCEPT: text/plain", "X-Twice: 1", "X-Twice: 2", "Content-Length: 0", "Connection: close"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.def.HTTP = &test.settings
			got := string(prepare(t, test.def).(*httpProber).first.request)
			if want := strings.Join(test.want, "\r\n") + "\r\n\r\n"; got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestHTTP2Request(t *testing.T) {
	for _, test := range []struct {
		url      string
		settings HTTPSettings
		want     string
	}{
		{"http:///health?a=1&http2=true&b", HTTPSettings{},
			":method=GET :scheme=http :authority=[2001:db8::10]:8080 :path=/health?a=1&http2=true&b user-agent=farpoint/1 accept=*/*"},
		{"https://legacy.example:8080", HTTPSettings{Method: "POST", Host: "other.example", Headers: []Header{{"X-Twice", "A"}, {"x-twice", "B"}, {"Accept", "none"}}},
			":method=POST :scheme=https :authority=other.example :path=/ user-agent=farpoint/1 x-twice=A x-twice=B accept=none content-length=0"},
	} {
		def := at(netip.MustParseAddrPort("[2001:db8::10]:8080"), test.url)
		def.HTTP = &test.settings
		def.HTTP.HTTP2 = true
		if got := strings.Join(http2Fields(t, prepare(t, def).(*httpProber).first.request), " "); got != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", test.url, got, test.want)
		}
	}
}

// http2Fields are the headers in the bytes of a request.
func http2Fields(t *testing.T, request []byte) (fields []string) {
	t.Helper()
	rest, ok := bytes.CutPrefix(request, []byte(http2.ClientPreface))
	framer := http2.NewFramer(nil, bytes.NewReader(rest))
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := framer.ReadFrame()
		if err != nil || !ok {
			t.Fatalf("%q is no request: %v", request, err)
		}
		if head, ok := frame.(*http2.MetaHeadersFrame); ok {
			if !head.StreamEnded() {
				t.Error("a body is to come")
			}
			for _, field := range head.Fields {
				fields = append(fields, field.Name+"="+field.Value)
			}
			return fields
		}
	}
}

// TestHTTPRequestOnTheWire: it is these bytes that an endpoint sees.
func TestHTTPRequestOnTheWire(t *testing.T) {
	seen := make(chan string, 1)
	endpoint := probetest.Serve(t, func(conn net.Conn) {
		seen <- probetest.ReadRequest(conn)
		_, _ = conn.Write([]byte(probetest.Well))
	})
	prober := prepare(t, at(endpoint, "http:///health"))
	if got := probeOnce(t, prober, probetest.Ample); got != probes.SuccessResult() {
		t.Errorf("got %+v", got)
	}
	if got, want := <-seen, string(prober.(*httpProber).first.request); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestHTTPSettingsRefused(t *testing.T) {
	header := func(name, value string) HTTPSettings {
		return HTTPSettings{Headers: []Header{{"X-Fine", "yes"}, {name, value}}}
	}
	const headers = "healthCheck.http.headers: "
	for _, test := range []struct {
		settings HTTPSettings
		want     string
	}{
		{HTTPSettings{Method: "GET / HTTP/1.1\r\nX: y\r\n\r\n"}, "healthCheck.http.method is not an HTTP method"},
		{HTTPSettings{Method: "G T"}, "healthCheck.http.method is not an HTTP method"},
		{HTTPSettings{Method: "CONNECT"}, "healthCheck.http.method CONNECT"},
		{HTTPSettings{Method: "HEAD", ExpectedBody: regexp.MustCompile("ok")}, "healthCheck.http.expectedBody cannot match"},
		{HTTPSettings{Host: "a\r\nX: y"}, "healthCheck.http.host is not a Host header"},
		{HTTPSettings{Host: "a b"}, "healthCheck.http.host is not a Host header"},
		{HTTPSettings{MaxBodyBytes: -1}, "healthCheck.http.maxBodyBytes is out of range"},
		{HTTPSettings{MaxBodyBytes: MaxBodyBytes + 1}, "healthCheck.http.maxBodyBytes is out of range"},
		{HTTPSettings{ExpectedStatuses: []StatusRange{{300, 200}}}, "healthCheck.http.expectedStatuses has the impossible range 300-200"},
		{HTTPSettings{ExpectedStatuses: []StatusRange{{20, 200}}}, "healthCheck.http.expectedStatuses has the impossible range 20-200"},
		{HTTPSettings{DrainStatuses: []StatusRange{{600, 503}}}, "healthCheck.http.drainStatuses has the impossible range 600-503"},
		{HTTPSettings{DrainStatuses: []StatusRange{{503, 503}, {399, 400}}}, "healthCheck.http.drainStatuses has 399-400, which overlaps with 200-399 of expectedStatuses (expectedStatuses are 200-399 by default): list each status in one of them"},
		{HTTPSettings{StandbyStatuses: []StatusRange{{503, 399}}}, "healthCheck.http.standbyStatuses has the impossible range 503-399"},
		{HTTPSettings{StandbyStatuses: []StatusRange{{503, 503}, {399, 400}}}, "healthCheck.http.standbyStatuses has 399-400, which overlaps with 200-399 of expectedStatuses"},
		{HTTPSettings{StandbyStatuses: []StatusRange{{503, 503}}, DrainStatuses: []StatusRange{{500, 504}}}, "healthCheck.http.standbyStatuses has 503, which overlaps with 500-504 of drainStatuses"},
		{HTTPSettings{ExpectedStatuses: []StatusRange{{503, 503}}, DrainStatuses: []StatusRange{{503, 503}}}, "healthCheck.http.drainStatuses has 503, which overlaps with 503 of expectedStatuses"},
		{header("", "s3cret"), headers + `"" is not a header name`},
		{header("X Y", "s3cret"), headers + `"X Y" is not a header name`},
		{header("X-Y\r\nX-Z", "s3cret"), headers + `"X-Y\r\nX-Z" is not a header name`},
		{header("X-Y", "s3cret\r\nX-Z: 1"), headers + "the value of X-Y contains a line break"},
		{header("X-Y", "s3cret\x00"), headers + "the value of X-Y contains a line break"},
		{header("host", "s3cret"), headers + "host cannot be set here: use healthCheck.http.host"},
		{header("Content-Length", "7"), headers + "Content-Length is wrong"},
		{header("Connection", "keep-alive"), headers + "Connection belongs to the connection"},
		{header("Keep-Alive", "1"), headers + "Keep-Alive belongs"},
		{header("Proxy-Authorization", "s3cret"), headers + "Proxy-Authorization belongs"},
		{header("Proxy-Connection", "close"), headers + "Proxy-Connection belongs"},
		{header("TE", "gzip"), headers + "TE belongs"},
		{header("Trailer", "X"), headers + "Trailer belongs"},
		{header("Transfer-Encoding", "chunked"), headers + "Transfer-Encoding belongs"},
		{header("UPGRADE", "h2c"), headers + "UPGRADE belongs"},
		{header("Metadata-Flavor", "Google"), headers + "Metadata-Flavor unlocks"},
		{header("metadata", "true"), headers + "metadata unlocks"},
		{header("X-aws-ec2-metadata-token", "s3cret"), headers + "X-aws-ec2-metadata-token unlocks"},
		{header("X-AWS-EC2-Metadata-Token-TTL-Seconds", "60"), headers + "X-AWS-EC2-Metadata-Token-TTL-Seconds unlocks"},
	} {
		t.Run(test.want, func(t *testing.T) {
			_, err := NewRegistry(transport.NewDialer(loopback)).New(Definition{
				URL: "http:///", Address: netip.MustParseAddr("192.0.2.10"), Port: 80, HTTP: &test.settings,
			})
			switch {
			case err == nil:
				t.Error("accepted")
			case !strings.HasPrefix(err.Error(), test.want):
				t.Errorf("got %q, want %q...", err, test.want)
			case strings.Contains(err.Error(), "s3cret"):
				t.Errorf("the error repeats the header's value: %q", err)
			}
		})
	}
}
