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
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/cpulimit"
	"farpoint.dev/farpoint/probes/transport"
)

// httpProber checks that a URL answers as it should. All that does not change
// between probes is prepared, the bytes of the request too.
type httpProber struct {
	dialer   *transport.Dialer
	settings *HTTPSettings
	first    httpRequest
	// redirects is nil unless they are followed.
	redirects *redirects
	// http2: all requests are made by HTTP/2, and answers by another version are none.
	http2 bool
}

// alpnHTTP1 keeps servers from answering in HTTP/2.
const alpnHTTP1 = "http/1.1"

// httpRequest is one request of a probe, and where it goes.
type httpRequest struct {
	to      transport.Destination
	tls     *transport.TLSClient // nil for http
	method  string
	request []byte
}

func newHTTPProber(d *transport.Dialer, def Definition, u *url.URL) (probes.Prober, error) {
	p := &httpProber{dialer: d, http2: def.HTTP != nil && def.HTTP.HTTP2}
	var err error
	if p.first.to, err = streamDestination(d, def, u); err != nil {
		return nil, err
	}
	if err := p.set(def); err != nil {
		return nil, err
	}
	head, err := p.settings.request(p.first.to, u)
	if err != nil {
		return nil, err
	}
	p.first.method = head.method
	if p.first.request, err = p.written(head); err != nil {
		return nil, err
	}
	if err := p.prepareTLS(def.TLS, u); err != nil {
		return nil, err
	}
	if hasHeader(p.settings.Headers, "Authorization") {
		err = def.checkSending(probes.LoginAuthorization, "http", p.first.tls)
	}
	return p, err
}

// set takes over the settings of the definition.
func (p *httpProber) set(def Definition) (err error) {
	p.settings = def.HTTP
	if p.settings == nil {
		p.settings = &defaultHTTPSettings
	}
	if err := p.settings.validate(); err != nil {
		return err
	}
	p.settings, err = p.settings.withCredentials(def.Credentials)
	return err
}

// prepareTLS is also for redirects to https, so that mistakes show at once.
func (p *httpProber) prepareTLS(settings *transport.TLSSettings, u *url.URL) error {
	if p.settings.FollowRedirects {
		p.redirects = &redirects{origin: u, tls: settings}
	}
	if u.Scheme != "https" && p.redirects == nil {
		return nil
	}
	client, err := p.dialer.NewTLSClient(settings, p.first.to.Host(), p.protocols()...)
	if u.Scheme == "https" {
		p.first.tls = client
	}
	return err
}

// protocols are those that ALPN offers. One who asks for HTTP/2 is offered HTTP/1.1 as well:
// a server that has no HTTP/2 then says so by its choice, and not by a broken handshake.
func (p *httpProber) protocols() []string {
	if p.http2 {
		return []string{alpnHTTP2, alpnHTTP1}
	}
	return []string{alpnHTTP1}
}

// written is a request in the version that the probe speaks.
func (p *httpProber) written(head requestHead) ([]byte, error) {
	if p.http2 {
		return head.http2()
	}
	return head.http1(), nil
}

func (p *httpProber) Location() probes.Location { return p.first.to.Location() }

// CertificateExpiry implements tlsInfo.
func (p *httpProber) CertificateExpiry() time.Time { return p.first.tls.CertificateExpiry() }

// CPUHeavy implements probes.CPUHeavyProber.
func (p *httpProber) CPUHeavy() bool { return p.first.tls != nil || p.settings.ExpectedBody != nil }

func (p *httpProber) Scheme() string {
	if p.first.tls != nil {
		return "https"
	}
	return "http"
}

// Probe implements Prober.
func (p *httpProber) Probe(ctx context.Context) probes.Result {
	answer, err := p.roundTrip(ctx, &p.first)
	switch {
	case err != nil:
		return transport.Classify(ctx, err)
	case answer.location != "":
		return p.follow(ctx, answer)
	}
	return p.verdict(answer)
}

// LoopEligible and the methods after it implement plain.
func (p *httpProber) LoopEligible() bool {
	return p.first.tls == nil && p.first.to.DialName == "" && p.first.to.Proxy == transport.NoProxyProtocol && !p.http2 &&
		p.redirects == nil && p.settings.ExpectedBody == nil
}

func (p *httpProber) Address() (netip.AddrPort, error) {
	return p.first.to.Addr, p.dialer.Check(p.first.to.Addr)
}

func (p *httpProber) Request() []byte { return p.first.request }

func (p *httpProber) ReadsResponse() bool { return true }

func (p *httpProber) ParseResponse(response io.Reader) (probes.Result, transport.Ending, error) {
	a, err := p.receive(response, &p.first)
	if err != nil {
		return probes.Result{}, transport.Ending{}, err
	}
	return p.verdict(a), transport.Ending{Unread: a.unread}, nil
}

// answer is what a probe wants to know of a response.
type answer struct {
	status int
	// location is where the response sends us; empty if it does not, or we don't go.
	location string
	// mismatch says that the body is not as expected.
	mismatch bool
	// unread is how much of the response has not been read, or untilEnd.
	unread int64
}

func (p *httpProber) verdict(a answer) probes.Result {
	switch {
	case p.settings.standsBy(a.status):
		return probes.Result{Outcome: probes.Ineligible, Reason: probes.ReasonStandby, Code: uint16(a.status)}
	case p.settings.drains(a.status):
		return probes.Result{Outcome: probes.Draining, Reason: probes.ReasonDraining, Code: uint16(a.status)}
	case !p.settings.expects(a.status):
		return probes.Result{Outcome: probes.Failure, Reason: probes.ReasonStatus, Code: uint16(a.status)}
	case a.mismatch:
		return probes.FailureResult(probes.ReasonContent)
	}
	return probes.SuccessResult()
}

// roundTrip makes one request over a connection of its own.
func (p *httpProber) roundTrip(ctx context.Context, h *httpRequest) (answer, error) {
	var a answer
	err := p.dialer.Converse(ctx, h.to, func(conn transport.Stream) (err error) {
		if h.tls == nil {
			if a, err = p.exchange(ctx, conn, conn, h); err == nil {
				p.endingAfter(a).Apply(ctx, conn)
			}
			return err
		}
		client, err := p.handshake(ctx, h.tls, conn)
		if err != nil {
			return err
		}
		if a, err = p.exchange(ctx, conn, client, h); err == nil {
			transport.EndTLS(ctx, conn, client, transport.Ending{Unread: a.unread})
		}
		return err
	})
	return a, err
}

// endingAfter ends a connection without TLS. By HTTP/2 the probe has sent GOAWAY already.
func (p *httpProber) endingAfter(a answer) transport.Ending {
	if p.http2 {
		return transport.CloseAfterResponse
	}
	return transport.Ending{Unread: a.unread}
}

func (p *httpProber) handshake(ctx context.Context, client *transport.TLSClient, conn transport.Stream) (*tls.Conn, error) {
	if p.http2 {
		return handshakeHTTP2(ctx, client, conn)
	}
	return client.Handshake(ctx, conn)
}

// exchange writes the request and reads as much of the response as matters. below is the
// connection itself, which conn may be TLS on.
func (p *httpProber) exchange(ctx context.Context, below transport.Stream, conn net.Conn, h *httpRequest) (a answer, err error) {
	// An endpoint may answer, or send an alert, and close before it has read the request. Its
	// response counts then, and without one, the read fails like the write did: at once.
	_, _ = conn.Write(h.request)
	receive := func(conn net.Conn) error {
		if p.http2 {
			a, err = p.receiveHTTP2(conn, func() { transport.LimitReading(ctx, below, transport.MaxLinger) })
		} else {
			a, err = p.receive(conn, h)
		}
		return err
	}
	if p.settings.ExpectedBody == nil {
		err = receive(conn)
	} else {
		err = cpulimit.ComputeOver(ctx, conn, receive)
	}
	return a, err
}

// receive reads as much of the response as matters.
func (p *httpProber) receive(conn io.Reader, h *httpRequest) (answer, error) {
	r := newResponseReader(conn)
	defer r.release()
	response, err := r.readHead(h.method)
	if err != nil {
		return answer{}, err
	}
	a := p.answered(response.StatusCode, response.location)
	if !p.wantsBody(a) {
		a.unread = r.unread()
		return a, nil
	}
	body, err := r.readBody(response, p.settings.maxBodyBytes())
	if err != nil {
		return answer{}, err
	}
	if len(body) == p.settings.maxBodyBytes() {
		a.unread = transport.UntilEnd
	}
	a.mismatch = !p.settings.ExpectedBody.Match(body)
	return a, nil
}

// receiveHTTP2 is receive for HTTP/2. It also ends the stream and the connection, for which
// hurry bounds the time.
func (p *httpProber) receiveHTTP2(conn io.ReadWriter, hurry func()) (answer, error) {
	r := newHTTP2Reader(conn)
	defer r.release()
	defer r.closeNotify()
	a, err := p.readHTTP2(r)
	if err == nil && !r.ended {
		hurry()
		r.discardBody()
	}
	return a, err
}

func (p *httpProber) readHTTP2(r *http2Reader) (answer, error) {
	head, err := r.head()
	if err != nil {
		return answer{}, err
	}
	a := p.answered(statusOf(head), fieldOf(head, "location"))
	if !p.wantsBody(a) {
		return a, nil
	}
	buffer := bodies.Get().(*bytes.Buffer)
	defer bodies.Put(buffer)
	encoding, limit := fieldOf(head, "content-encoding"), p.settings.maxBodyBytes()
	r.allow(limit + maxFramingBytes)
	body, err := readBody(buffer, &http2Body{reader: r}, encoding, limit)
	if err != nil {
		return answer{}, err
	}
	a.mismatch = !p.settings.ExpectedBody.Match(body)
	return a, nil
}

// bodies are what the bodies of HTTP/2 are read into.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// answered is what the head of a response says, which has a Location, perhaps. Some send a
// redirect without one, for which net/http, too, takes the response as it is.
func (p *httpProber) answered(status int, location string) answer {
	a := answer{status: status}
	if p.redirects == nil {
		return a
	}
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		a.location = location
	}
	return a
}

// wantsBody reports whether the body of a response matters.
func (p *httpProber) wantsBody(a answer) bool {
	return a.location == "" && p.settings.ExpectedBody != nil && p.settings.expects(a.status)
}
