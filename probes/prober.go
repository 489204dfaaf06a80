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
	"net/netip"
	"time"
)

// Prober makes one kind of check of one endpoint. It is prepared once and used often, by one
// goroutine at a time.
type Prober interface {
	// Probe makes one check. The context's deadline covers all of it: dial, TLS
	// handshake and exchange. Probe returns soon after the deadline or a
	// cancellation, and leaves no goroutine or connection behind.
	Probe(ctx context.Context) Result
}

// Location is a host that probes connect to: an address or a name.
type Location struct {
	Addr netip.Addr
	Name string
}

// TLSInfo is a prober of a scheme that uses TLS.
type TLSInfo interface {
	// CertificateExpiry returns when the first of the certificates in the last handshake expires;
	// zero before the first handshake. It may be called at any time.
	CertificateExpiry() time.Time
}

// CPUHeavyProber is a prober whose probes may compute for long: TLS handshakes, logins, regular
// expressions.
type CPUHeavyProber interface {
	CPUHeavy() bool
}

// EndpointInfo is a prober that describes its endpoint.
type EndpointInfo interface {
	// Location returns where the prober connects to.
	Location() Location
	// Scheme returns the scheme of the probe URL.
	Scheme() string
}

// Owner names the object that targets belong to.
type Owner struct {
	Namespace, Name string
}

// Watcher is a prober whose endpoint can report changes by itself.
type Watcher interface {
	Prober
	// Watch holds a connection and calls report for each report of the endpoint, which decides at
	// once; see ApplySelfReport in package health. It returns when the context is done or the
	// connection has ended, which by itself means nothing for the endpoint. It may run while Probe
	// does.
	Watch(ctx context.Context, report func(Result))
}
