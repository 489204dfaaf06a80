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
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"

	"farpoint.dev/farpoint/probes/transport"
)

// userAgent tells the people who run an endpoint who it is that asks.
const userAgent = "farpoint/1"

var defaultHTTPSettings HTTPSettings

func (s *HTTPSettings) method() string {
	if s.Method == "" {
		return http.MethodGet
	}
	return s.Method
}

func (s *HTTPSettings) maxBodyBytes() int {
	if s.MaxBodyBytes == 0 {
		return DefaultMaxBodyBytes
	}
	return s.MaxBodyBytes
}

// defaultStatuses are those that are expected if nothing is said.
var defaultStatuses = []StatusRange{{200, 399}}

func (s *HTTPSettings) expectedStatuses() []StatusRange {
	if len(s.ExpectedStatuses) == 0 {
		return defaultStatuses
	}
	return s.ExpectedStatuses
}

func (s *HTTPSettings) expects(status int) bool { return hold(s.expectedStatuses(), status) }

func (s *HTTPSettings) drains(status int) bool { return hold(s.DrainStatuses, status) }

func (s *HTTPSettings) standsBy(status int) bool { return hold(s.StandbyStatuses, status) }

func hold(ranges []StatusRange, status int) bool {
	for _, item := range ranges {
		if item.holds(status) {
			return true
		}
	}
	return false
}

// validate returns an error that tells the user what to write instead. It does not
// repeat the headers' values, which may be secret.
func (s *HTTPSettings) validate() error {
	switch {
	case !httpguts.ValidHeaderFieldName(s.method()): // a token, as methods are
		return errors.New("healthCheck.http.method is not an HTTP method: write GET, HEAD or another one")
	case s.method() == http.MethodConnect:
		return errors.New("healthCheck.http.method CONNECT opens a tunnel: write GET, HEAD or another one")
	case s.method() == http.MethodHead && s.ExpectedBody != nil:
		return errors.New("healthCheck.http.expectedBody cannot match with the method HEAD, whose responses have no body: use GET")
	case !isHostHeader(s.Host):
		return errors.New("healthCheck.http.host is not a Host header: write a name or an address, with a port if needed")
	case s.MaxBodyBytes < 0 || s.MaxBodyBytes > MaxBodyBytes:
		return fmt.Errorf("healthCheck.http.maxBodyBytes is out of range: write a number up to %d", MaxBodyBytes)
	}
	for _, header := range s.Headers {
		if err := header.validate(); err != nil {
			return fmt.Errorf("healthCheck.http.headers: %w", err)
		}
	}
	return s.validateStatuses()
}

func (s *HTTPSettings) validateStatuses() error {
	fields := []struct {
		name   string
		ranges []StatusRange
	}{{"expectedStatuses", s.expectedStatuses()}, {"drainStatuses", s.DrainStatuses}, {"standbyStatuses", s.StandbyStatuses}}
	for _, field := range fields {
		for _, item := range field.ranges {
			if item.First < 100 || item.First > item.Last || item.Last > 999 {
				return fmt.Errorf("healthCheck.http.%s has the impossible range %d-%d: write one such as 200-399", field.name, item.First, item.Last)
			}
		}
	}
	for i, field := range fields {
		for _, other := range fields[:i] {
			if item, with, ok := overlap(field.ranges, other.ranges); ok {
				return fmt.Errorf("healthCheck.http.%s has %s, which overlaps with %s of %s (expectedStatuses are 200-399 by default): list each status in one of them",
					field.name, item, with, other.name)
			}
		}
	}
	return nil
}

// overlap returns the first two ranges that have a status in common.
func overlap(these, others []StatusRange) (item, with StatusRange, ok bool) {
	for _, item := range these {
		for _, with := range others {
			if item.overlaps(with) {
				return item, with, true
			}
		}
	}
	return StatusRange{}, StatusRange{}, false
}

// isHostHeader also keeps spaces and control bytes out of the request.
func isHostHeader(host string) bool {
	return httpguts.ValidHostHeader(host) && isVisibleASCII(host)
}

func (h Header) validate() error {
	if !httpguts.ValidHeaderFieldName(h.Name) {
		return fmt.Errorf("%q is not a header name: use letters, digits and hyphens", h.Name)
	}
	if !httpguts.ValidHeaderFieldValue(h.Value) {
		return fmt.Errorf("the value of %s contains a line break or another control character: remove it", h.Name)
	}
	name := strings.ToLower(h.Name)
	if advice, ok := refusedHeaders[name]; ok {
		return fmt.Errorf("%s %s", h.Name, advice)
	}
	for prefix, advice := range refusedHeaderPrefixes {
		if strings.HasPrefix(name, prefix) {
			return fmt.Errorf("%s %s", h.Name, advice)
		}
	}
	return nil
}

const (
	hopByHop      = "belongs to the connection, which the probe manages: remove it"
	cloudMetadata = "unlocks the metadata services of clouds: remove it"
)

// refusedHeaders are those that would change how the request is framed (RFC 9110,
// 7.6.1), or that make a metadata service answer, should a probe ever get to one.
var refusedHeaders = map[string]string{
	"host":                      "cannot be set here: use healthCheck.http.host",
	"content-length":            "is wrong, because a probe has no body: remove it",
	"connection":                hopByHop,
	"keep-alive":                hopByHop,
	"te":                        hopByHop,
	"trailer":                   hopByHop,
	"transfer-encoding":         hopByHop,
	"upgrade":                   hopByHop,
	"http2-settings":            hopByHop,
	"metadata":                  cloudMetadata, // Azure
	"metadata-flavor":           cloudMetadata, // Google
	"x-google-metadata-request": cloudMetadata,
}

var refusedHeaderPrefixes = map[string]string{
	"proxy-":                      hopByHop,
	"x-aws-ec2-metadata-token":    cloudMetadata,
	"x-aliyun-ecs-metadata-token": cloudMetadata,
}

// requestHead is all of a request, since it has no body. Everything in it must have been
// validated.
type requestHead struct {
	scheme, method, target, host string
	headers                      []Header
}

// request is the first request of a probe, with the user's Host and headers.
func (s *HTTPSettings) request(to transport.Destination, u *url.URL) (requestHead, error) {
	target := u.RequestURI()
	if !isVisibleASCII(target) {
		return requestHead{}, errors.New("healthCheckURL has a space or another special character in its path or query: percent-encode it")
	}
	if u.Fragment != "" {
		return requestHead{}, errors.New("healthCheckURL has a fragment (#...), which is never sent: remove it")
	}
	host := s.Host
	if host == "" {
		host = hostHeader(to, u)
	}
	return requestHead{u.Scheme, s.method(), target, host, s.Headers}, nil
}

// hostHeader is what RFC 9110, 7.2, asks for: host and port as in the URL, without
// the port if it is the scheme's own.
func hostHeader(to transport.Destination, u *url.URL) string {
	if u.Port() != "" && u.Hostname() != "" {
		return u.Host // as the user wrote it
	}
	if to.Addr.Port() != defaultPort(u.Scheme) {
		return to.String()
	}
	if strings.Contains(to.Host(), ":") {
		return "[" + to.Host() + "]"
	}
	return to.Host()
}

func defaultPort(scheme string) uint16 {
	if scheme == "https" {
		return 443
	}
	return 80
}

// fields are the headers, but for Host and those of the connection.
func (r requestHead) fields() []Header {
	var all []Header
	if !hasHeader(r.headers, "User-Agent") {
		all = append(all, Header{"User-Agent", userAgent})
	}
	if !hasHeader(r.headers, "Accept") {
		all = append(all, Header{"Accept", "*/*"})
	}
	all = append(all, r.headers...)
	switch r.method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		all = append(all, Header{"Content-Length", "0"}) // or some servers answer 411
	}
	return all
}

// http1 is the request as HTTP/1.1 has it.
func (r requestHead) http1() []byte {
	var b bytes.Buffer
	line := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	b.WriteString(r.method + " " + r.target + " HTTP/1.1\r\n")
	line("Host", r.host)
	for _, field := range r.fields() {
		line(field.Name, field.Value)
	}
	line("Connection", "close")
	b.WriteString("\r\n")
	return b.Bytes()
}

// http2 is the request as HTTP/2 has it (RFC 9113, 8.3.1).
func (r requestHead) http2() ([]byte, error) {
	fields := []hpack.HeaderField{
		{Name: ":method", Value: r.method},
		{Name: ":scheme", Value: r.scheme},
		{Name: ":authority", Value: r.host},
		{Name: ":path", Value: r.target},
	}
	for _, field := range r.fields() {
		fields = append(fields, hpack.HeaderField{Name: strings.ToLower(field.Name), Value: field.Value})
	}
	return http2Request(fields, nil)
}

func hasHeader(headers []Header, name string) bool {
	for _, header := range headers {
		if strings.EqualFold(header.Name, name) {
			return true
		}
	}
	return false
}

// isVisibleASCII reports whether a byte may be in a request line.
func isVisibleASCII(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
