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
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// Dialer opens the connections of all probers. It checks every address it is
// about to connect to, after name resolution, so that a name that resolves
// differently the second time gains nothing.
type Dialer struct {
	dialer net.Dialer
}

// NewDialer returns a dialer that connects only where the policy lets it.
func NewDialer(policy EgressPolicy) *Dialer {
	return &Dialer{dialer: net.Dialer{
		// A probe's connection is too short for keep-alive, which would cost
		// several system calls a dial.
		KeepAlive: -1,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			peer, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrAddressRefused, err)
			}
			return policy.CheckProbe(peer.Addr())
		},
	}}
}

// Dial opens a TCP connection to host:port, which may hold a name.
func (d *Dialer) Dial(ctx context.Context, address string) (net.Conn, error) {
	return d.dialer.DialContext(ctx, "tcp", address)
}
