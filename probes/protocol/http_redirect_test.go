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
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/probetest"
)

// site answers by path and remembers the requests.
type site struct {
	at netip.AddrPort

	// mu guards the fields below. No I/O happens under it.
	mu       sync.Mutex
	pages    map[string]string
	requests []string
}

func newSite(t *testing.T) *site {
	s := &site{pages: map[string]string{}}
	s.at = probetest.Serve(t, s.exchange)
	return s
}

func (s *site) exchange(conn net.Conn) {
	request := probetest.ReadRequest(conn)
	_, path, _ := strings.Cut(request, " ")
	path, _, _ = strings.Cut(path, " ")
	s.mu.Lock()
	s.requests = append(s.requests, request)
	page, ok := s.pages[path]
	s.mu.Unlock()
	if !ok {
		page = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
	}
	_, _ = io.WriteString(conn, page)
}

func (s *site) has(path, page string) *site {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[path] = page
	return s
}

func (s *site) redirects(path string, status int, location string) *site {
	return s.has(path, fmt.Sprintf("HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 4\r\n\r\nmore", status, location))
}

func (s *site) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

func (s *site) result(t *testing.T, settings HTTPSettings) probes.Result {
	t.Helper()
	settings.FollowRedirects = true
	def := at(s.at, "http:///a/b?c")
	def.HTTP, def.SendCredentialsToUnverifiedServers = &settings, true
	return result(t, def, probetest.Ample)
}

func TestRedirects(t *testing.T) {
	const start = "/a/b?c"
	for _, test := range []struct {
		name     string
		location string
		target   string
		want     probes.Result
	}{
		{"absolute path", "/ok", "/ok", probes.SuccessResult()},
		{"relative path", "../ok?d", "/ok?d", probes.SuccessResult()},
		{"query only", "?d", "/a/b?d", probes.SuccessResult()},
		{"with a fragment", "/ok#part", "/ok", probes.SuccessResult()},
		{"scheme-relative", "//HOST/ok", "/ok", probes.SuccessResult()},
		{"absolute", "http://HOST/ok", "/ok", probes.SuccessResult()},
		{"user info is dropped", "http://user:word@HOST/ok", "/ok", probes.SuccessResult()},
		{"not found", "/nowhere", "/ok", httpStatus(404)},
		{"in a circle", start, "/ok", probes.FailureResult(probes.ReasonRedirect)},
		{"metadata address", "http://169.254.169.254/latest/meta-data/", "/ok", probes.FailureResult(probes.ReasonRedirect)},
		{"metadata address, mapped", "http://[::ffff:169.254.169.254]/", "/ok", probes.FailureResult(probes.ReasonRedirect)},
		{"unspecified address", "http://0.0.0.0:1/", "/ok", probes.FailureResult(probes.ReasonRedirect)},
		{"address in decimal", "http://2130706433/", "/ok", probes.FailureResult(probes.ReasonRedirect)},
		{"another scheme", "ftp://HOST/ok", "/ok", probes.FailureResult(probes.ReasonRedirect)},
		{"a file", "file:///etc/passwd", "/ok", probes.FailureResult(probes.ReasonRedirect)},
		{"no host", "http:///ok", "/ok", probes.FailureResult(probes.ReasonRedirect)},
		{"opaque", "http:ok", "/ok", probes.FailureResult(probes.ReasonRedirect)},
		{"no URL", "http://[/", "/ok", probes.FailureResult(probes.ReasonRedirect)},
		{"bad port", "http://127.0.0.1:0/", "/ok", probes.FailureResult(probes.ReasonRedirect)},
		{"space in the query", "/ok?a b", "/ok?a b", probes.FailureResult(probes.ReasonRedirect)},
		{"empty", "", "/ok", probes.SuccessResult()}, // the 302 itself is expected
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t).has(test.target, probetest.Well)
			s.redirects(start, 302, strings.ReplaceAll(test.location, "HOST", s.at.String()))
			if got := s.result(t, HTTPSettings{}); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestRedirectChain(t *testing.T) {
	chain := func(length int, end string) *site {
		s := newSite(t).redirects("/a/b?c", 301, "/1")
		for i := 1; i < length; i++ {
			s.redirects(fmt.Sprintf("/%d", i), 301, fmt.Sprintf("/%d", i+1))
		}
		return s.has(fmt.Sprintf("/%d", length), end)
	}
	for _, test := range []struct {
		name     string
		site     *site
		settings HTTPSettings
		want     probes.Result
		requests int
	}{
		{"ten", chain(10, probetest.Well), HTTPSettings{}, probes.SuccessResult(), 11},
		{"eleven", chain(11, probetest.Well), HTTPSettings{}, probes.FailureResult(probes.ReasonRedirect), 11},
		{"the last status counts", chain(2, "HTTP/1.1 500 Oops\r\n\r\n"), HTTPSettings{ExpectedStatuses: []StatusRange{{301, 301}}}, httpStatus(500), 3},
		{"the last body counts", chain(2, probetest.Well), HTTPSettings{ExpectedBody: regexp.MustCompile("^more$")}, probes.FailureResult(probes.ReasonContent), 3},
		{"forbidden at the second hop", chain(2, "HTTP/1.1 307 On\r\nLocation: http://169.254.169.254/\r\n\r\n"), HTTPSettings{}, probes.FailureResult(probes.ReasonRedirect), 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.site.result(t, test.settings); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if got := len(test.site.seen()); got != test.requests {
				t.Errorf("%d requests, want %d", got, test.requests)
			}
		})
	}
}

// TestRedirectGuard: what is refused is so for a hop as for anything else, whichever it is
// and however it is spelled.
func TestRedirectGuard(t *testing.T) {
	hidden := probetest.Unvisited(t)
	resolving(t, always("127.0.0.1"))
	for _, host := range []string{
		hidden.Addr().String(), "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "[64:ff9b::127.0.0.1]", "localhost", "rebound.example.",
		"169.254.169.254", "[fd00:ec2::254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "100.100.100.200", "168.63.129.16", "2852039166", "0xa9.254.169.254",
	} {
		for _, hops := range []int{1, 2, 10} {
			s := newSite(t)
			for i := range hops - 1 {
				s.redirects(fmt.Sprintf("/%d", i), 302, fmt.Sprintf("/%d", i+1))
			}
			s.redirects(fmt.Sprintf("/%d", hops-1), 307, fmt.Sprintf("http://%s:%d/latest/meta-data", host, hidden.Port()))
			// Only the first address is allowed here: as if it were no loopback.
			dialer := testDialer(egress.NewPolicy(egress.Rules{}))
			guard := dialer.Check
			dialer.Check = func(to netip.AddrPort) error {
				if to == s.at {
					return nil
				}
				return guard(to)
			}
			def := at(s.at, "http:///0")
			def.HTTP = &HTTPSettings{FollowRedirects: true}
			prober, err := NewRegistry(dialer).New(def)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := probeOnce(t, prober, probetest.Ample), probes.FailureResult(probes.ReasonRedirect); got != want {
				t.Errorf("to %s at hop %d: %+v, want %+v", host, hops, got, want)
			}
			if seen := len(s.seen()); seen != hops {
				t.Errorf("to %s at hop %d: %d requests", host, hops, seen)
			}
		}
	}
}

// TestRedirectsKeepSecrets: only the place that the user named sees what the user
// wants to be sent there.
func TestRedirectsKeepSecrets(t *testing.T) {
	settings := HTTPSettings{Host: "legacy.example", Headers: []Header{{"Authorization", "Bearer s3cret"}}}

	t.Run("same place", func(t *testing.T) {
		s := newSite(t).redirects("/a/b?c", 302, "/ok").has("/ok", probetest.Well)
		if got := s.result(t, settings); got != probes.SuccessResult() {
			t.Fatalf("got %+v", got)
		}
		for _, request := range s.seen() {
			if !strings.Contains(request, "Authorization: Bearer s3cret\r\n") || !strings.Contains(request, "Host: legacy.example\r\n") {
				t.Errorf("header or host missing:\n%s", request)
			}
		}
	})
	t.Run("elsewhere and back", func(t *testing.T) {
		home, other := newSite(t).has("/ok", probetest.Well), newSite(t)
		home.redirects("/a/b?c", 302, "http://"+other.at.String()+"/")
		other.redirects("/", 302, "http://"+home.at.String()+"/ok")
		if got := home.result(t, settings); got != probes.SuccessResult() {
			t.Fatalf("got %+v", got)
		}
		for _, request := range other.seen() {
			if strings.Contains(request, "s3cret") || !strings.Contains(request, "Host: "+other.at.String()+"\r\n") {
				t.Errorf("header or host given away:\n%s", request)
			}
		}
		if last := home.seen()[1]; !strings.Contains(last, "s3cret") {
			t.Errorf("header missing at home:\n%s", last)
		}
	})
}

func TestRedirectMethods(t *testing.T) {
	for _, test := range []struct {
		status       int
		method, want string
	}{
		{301, "POST", "GET"}, {302, "PUT", "GET"}, {303, "POST", "GET"},
		{307, "POST", "POST"}, {308, "PUT", "PUT"},
		{301, "HEAD", "HEAD"}, {303, "HEAD", "HEAD"}, {302, "GET", "GET"}, {308, "OPTIONS", "OPTIONS"},
	} {
		t.Run(fmt.Sprint(test.method, test.status), func(t *testing.T) {
			s := newSite(t).redirects("/a/b?c", test.status, "/ok").has("/ok", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			if got := s.result(t, HTTPSettings{Method: test.method}); got != probes.SuccessResult() {
				t.Fatalf("got %+v", got)
			}
			second := s.seen()[1]
			if !strings.HasPrefix(second, test.want+" /ok ") {
				t.Errorf("got %q", second)
			}
			if length := strings.Contains(second, "Content-Length"); length != (test.want == "POST" || test.want == "PUT") {
				t.Errorf("content length sent: %v\n%s", length, second)
			}
		})
	}
}
