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
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// httpProber checks that a URL answers as it should. All that does not change
// between probes is prepared, the bytes of the request too.
type httpProber struct {
	dialer   *Dialer
	settings *HTTPSettings
	first    hop
	// redirects is nil unless they are followed.
	redirects *redirects
}

// alpnHTTP1 keeps servers from answering in HTTP/2.
const alpnHTTP1 = "http/1.1"

// hop is one request of a probe, and where it goes.
type hop struct {
	to      destination
	tls     *tlsClient // nil for http
	method  string
	request []byte
}

func (d *Dialer) newHTTPProber(def Definition, u *url.URL) (Prober, error) {
	to, err := d.destination(def, u)
	if err != nil {
		return nil, err
	}
	settings := def.HTTP
	if settings == nil {
		settings = &defaultHTTPSettings
	}
	if err := settings.validate(); err != nil {
		return nil, err
	}
	if settings, err = settings.withCredentials(def.Credentials); err != nil {
		return nil, err
	}
	request, err := settings.request(to, u)
	if err != nil {
		return nil, err
	}
	p := &httpProber{dialer: d, settings: settings}
	p.first = hop{to: to, method: settings.method(), request: request}
	if u.Scheme == "https" || settings.FollowRedirects {
		client, err := d.newTLSClient(def.TLS, to.host(), alpnHTTP1)
		if err != nil {
			return nil, err
		}
		if u.Scheme == "https" {
			p.first.tls = client
		}
	}
	if settings.FollowRedirects {
		p.redirects = &redirects{origin: u, tls: def.TLS}
	}
	return p, nil
}

func (p *httpProber) place() place { return p.first.to.place() }

func (p *httpProber) certificateExpiry() time.Time { return p.first.tls.certificateExpiry() }

func (p *httpProber) scheme() string {
	if p.first.tls != nil {
		return "https"
	}
	return "http"
}

// Probe implements Prober.
func (p *httpProber) Probe(ctx context.Context) Result {
	answer, err := p.visit(ctx, &p.first)
	switch {
	case err != nil:
		return classify(ctx, err)
	case answer.location != "":
		return p.follow(ctx, answer)
	}
	return p.verdict(answer)
}

// isPlain and the methods after it implement plain.
func (p *httpProber) isPlain() bool {
	return p.first.tls == nil && p.first.to.name == "" && p.redirects == nil && p.settings.ExpectedBody == nil
}

func (p *httpProber) address() (netip.AddrPort, error) {
	return p.first.to.addr, p.dialer.check(p.first.to.addr)
}

func (p *httpProber) request() []byte { return p.first.request }

func (p *httpProber) listens() bool { return true }

func (p *httpProber) hear(response io.Reader) (Result, error) {
	a, err := p.receive(response, &p.first)
	if err != nil {
		return Result{}, err
	}
	return p.verdict(a), nil
}

// answer is what a probe wants to know of a response.
type answer struct {
	status int
	// location is where the response sends us; empty if it does not, or we don't go.
	location string
	// mismatch says that the body is not as expected.
	mismatch bool
}

func (p *httpProber) verdict(a answer) Result {
	switch {
	case p.settings.drains(a.status):
		return Result{Outcome: Draining, Reason: ReasonDraining, Code: uint16(a.status)}
	case !p.settings.expects(a.status):
		return Result{Outcome: Failure, Reason: ReasonStatus, Code: uint16(a.status)}
	case a.mismatch:
		return failure(ReasonContent)
	}
	return success()
}

// visit makes one request over a connection of its own.
func (p *httpProber) visit(ctx context.Context, h *hop) (answer, error) {
	var a answer
	err := p.dialer.converse(ctx, h.to, func(conn stream) (err error) {
		if h.tls == nil {
			a, err = p.exchange(conn, h)
			return err
		}
		client, err := h.tls.handshake(conn)
		if err != nil {
			return err
		}
		if a, err = p.exchange(client, h); err != nil {
			return err
		}
		// Say goodbye, or servers log a truncated connection. It does not matter
		// whether they hear it.
		_ = client.CloseWrite()
		return nil
	})
	return a, err
}

// exchange writes the request and reads as much of the response as matters.
func (p *httpProber) exchange(conn net.Conn, h *hop) (answer, error) {
	// An endpoint may answer, or send an alert, and close before it has read the
	// request. What it said counts then, and if it said nothing, the read fails like
	// the write did: at once.
	_, _ = conn.Write(h.request)
	return p.receive(conn, h)
}

// receive reads as much of the response as matters.
func (p *httpProber) receive(conn io.Reader, h *hop) (answer, error) {
	r := newResponseReader(conn)
	defer r.release()
	response, err := r.readHead(h.method)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: response.StatusCode}
	if p.redirects != nil {
		a.location = locationOf(response)
	}
	if a.location != "" || p.settings.ExpectedBody == nil || !p.settings.expects(a.status) {
		return a, nil
	}
	body, err := r.readBody(response, p.settings.maxBodyBytes())
	if err != nil {
		return answer{}, err
	}
	a.mismatch = !p.settings.ExpectedBody.Match(body)
	return a, nil
}

// locationOf is where a response redirects to; empty if it does not. Some send a
// redirect without Location, for which net/http, too, takes the response as it is.
func locationOf(response *http.Response) string {
	switch response.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return response.Header.Get("Location")
	}
	return ""
}
