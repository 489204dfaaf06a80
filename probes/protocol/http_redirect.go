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
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/resolver"
	"farpoint.dev/farpoint/probes/transport"
)

// maxRedirects is how many redirects a probe follows, like net/http.
const maxRedirects = 10

// redirects is what a prober that follows them has to know.
type redirects struct {
	// origin is the probe's URL.
	origin *url.URL
	tls    *transport.TLSSettings
}

// follow goes where the first answer led, and on from there.
func (p *httpProber) follow(ctx context.Context, a answer) probes.Result {
	h := p.first
	at := *p.redirects.origin
	at.Host = h.to.String() // it may have been left out
	for range maxRedirects {
		next, err := at.Parse(a.location)
		if err != nil {
			return probes.FailureResult(probes.ReasonRedirect)
		}
		if h, err = p.nextHop(h, a.status, next); err != nil {
			return probes.FailureResult(probes.ReasonRedirect)
		}
		if a, err = p.roundTrip(ctx, &h); err != nil {
			return classifyHop(ctx, err)
		}
		if a.location == "" {
			return p.verdict(a)
		}
		at = *next
	}
	return probes.FailureResult(probes.ReasonRedirect)
}

// classifyHop is classify where the endpoint has chosen the destination: if that is
// forbidden or does not exist, the endpoint is to blame.
func classifyHop(ctx context.Context, err error) probes.Result {
	result := transport.Classify(ctx, err)
	var unresolved *resolver.LookupError
	noSuchName := errors.As(err, &unresolved) && unresolved.NotFound()
	switch {
	case result.Reason == probes.ReasonAddressRefused, result.Reason == probes.ReasonNameResolution && noSuchName:
		return probes.FailureResult(probes.ReasonRedirect)
	}
	return result
}

var errForbiddenRedirect = errors.New("redirect to an address that probes may not connect to")

// nextHop is the request that follows upon a redirect from the hop before. Only the
// place that the user named gets the user's headers, Host, server name and certificate.
func (p *httpProber) nextHop(before httpRequest, status int, u *url.URL) (httpRequest, error) {
	downgrade := before.tls != nil && u.Scheme != "https"
	known := u.Scheme == "https" || u.Scheme == "http"
	target := u.RequestURI()
	if downgrade || !known || p.dialer.Bounds.CheckScheme(u.Scheme) != nil || u.Opaque != "" || u.Hostname() == "" || !isVisibleASCII(target) {
		return httpRequest{}, errForbiddenRedirect
	}
	// What a URL leaves out is the scheme's default here, not the endpoint's own. The name
	// that the endpoint is called by means this endpoint, and not another one of the name's.
	own := p.first.to
	own.Addr = netip.AddrPortFrom(own.Addr.Addr(), defaultPort(u.Scheme))
	to, err := destinationOf(u, own)
	if err != nil {
		return httpRequest{}, err
	}
	if err := p.dialer.Admit(to); err != nil {
		return httpRequest{}, err
	}
	h := httpRequest{to: to, method: methodAfter(status, before.method)}
	asFirst := to
	asFirst.Proxy = p.first.to.Proxy
	samePlace := asFirst == p.first.to
	if samePlace {
		h.to = asFirst
	}
	if u.Scheme == "https" {
		if h.tls, err = p.hopTLS(to, samePlace); err != nil {
			return httpRequest{}, err
		}
	}
	host, headers := hostHeader(to, u), []Header(nil)
	if samePlace {
		headers = p.settings.Headers
		if p.settings.Host != "" {
			host = p.settings.Host
		}
	}
	h.request, err = p.written(requestHead{u.Scheme, h.method, target, host, headers})
	return h, err
}

func (p *httpProber) hopTLS(to transport.Destination, samePlace bool) (*transport.TLSClient, error) {
	if samePlace && p.first.tls != nil {
		return p.first.tls, nil
	}
	settings := p.redirects.tls
	if settings != nil && !samePlace {
		elsewhere := *settings
		elsewhere.ServerName, elsewhere.ClientCertificate = "", nil
		settings = &elsewhere
	}
	return p.dialer.NewTLSClient(settings, to.Host(), p.protocols()...)
}

// methodAfter is the method of the request after a redirect, by the rules of
// browsers that net/http follows, too.
func methodAfter(status int, method string) string {
	if status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect || method == http.MethodHead {
		return method
	}
	return http.MethodGet
}
