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
	"slices"
	"strings"

	"farpoint.dev/farpoint/probes"
)

// UsesTLS reports whether the probes of a definition may make use of its TLS settings.
func UsesTLS(def Definition) bool {
	scheme, _, _ := strings.Cut(def.URL, ":")
	switch scheme = strings.ToLower(scheme); scheme {
	case "http":
		return def.HTTP != nil && def.HTTP.FollowRedirects
	default:
		return slices.Contains(tlsSchemes, scheme)
	}
}

// tlsSchemes are those of probers that make use of TLS settings, be it only with some
// parameters of the URL.
var tlsSchemes = []string{"grpcs", "https", "mysql", "postgres", "rediss", "tls"}

// NewReachability returns a prober for a target whose health check cannot be made, for this
// reason: it connects to the definition's own TCP port. Nobody there is a failure. That
// somebody accepts the connection says nothing about the health, and the outcome is
// Reachable. Where no such connection can be made, it is always Unknown.
func (r Registry) NewReachability(def Definition, reason probes.Reason) probes.Prober {
	connect, err := r.New(Definition{URL: "tcp://", Name: def.Name, Address: def.Address, Port: def.Port})
	if err != nil { // no TCP port, or one that a policy keeps probes from
		return unprobed(reason)
	}
	return &reachability{connect, reason}
}

type reachability struct {
	probes.Prober // of a bare connection
	reason        probes.Reason
}

// Probe implements Prober.
func (p *reachability) Probe(ctx context.Context) probes.Result {
	result := p.Prober.Probe(ctx)
	if result.Outcome == probes.Success {
		return probes.Result{Outcome: probes.Reachable, Reason: p.reason}
	}
	return result
}

func (p *reachability) Location() probes.Location { return p.Prober.(probes.EndpointInfo).Location() }

func (p *reachability) Scheme() string { return p.Prober.(probes.EndpointInfo).Scheme() }

// unprobed is a prober that does nothing, for this reason.
type unprobed probes.Reason

// Probe implements Prober.
func (p unprobed) Probe(context.Context) probes.Result { return probes.UnknownResult(probes.Reason(p)) }
