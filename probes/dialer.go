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
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"runtime"
	"syscall"
	"time"
)

// Dialer opens the connections of all probers. It checks every address it is
// about to connect to, after name resolution, so that a name that resolves
// differently the second time gains nothing.
type Dialer struct {
	// check returns an error if no probe may connect to a place.
	check func(netip.AddrPort) error
	// plain connects to addresses, which are checked beforehand; guarded to what a name
	// resolves to, which is checked as it connects. That costs a few allocations.
	plain, guarded net.Dialer
	roots          rootPools
	// handshaking holds a token for each TLS handshake that computes.
	handshaking chan struct{}
}

// NewDialer returns a dialer that connects only where the policy lets it.
func NewDialer(policy EgressPolicy) *Dialer {
	// A probe's connection is too short for keep-alive, which would cost several system
	// calls a dial.
	plain := net.Dialer{KeepAlive: -1}
	d := &Dialer{plain: plain, guarded: plain, handshaking: make(chan struct{}, runtime.GOMAXPROCS(0))}
	d.check = func(to netip.AddrPort) error { return policy.CheckProbe(to.Addr()) }
	d.guarded.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
		peer, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrAddressRefused, err)
		}
		return d.check(peer)
	}
	return d
}

// Dial opens a TCP connection to host:port, which may hold a name.
func (d *Dialer) Dial(ctx context.Context, address string) (net.Conn, error) {
	return d.guarded.DialContext(ctx, "tcp", address)
}

// converse opens a connection of its own, hands it to talk and closes it. The
// context's deadline and its cancellation hold for all of it: talk need not look
// at the context, and must not set deadlines. It must end when the connection
// fails.
func (d *Dialer) converse(ctx context.Context, to destination, talk func(*net.TCPConn) error) error {
	if err := ctx.Err(); err != nil {
		return err // a dial would still send its SYN
	}
	conn, lookup, err := d.connect(ctx, to)
	if err != nil {
		return lookup.blame(ctx, err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	// This costs a goroutine only when it fires. It comes second, so that a
	// cancellation wins over the deadline.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(longAgo) })
	defer stop()
	return lookup.blame(ctx, talk(conn))
}

var longAgo = time.Unix(1, 0)

func (d *Dialer) connect(ctx context.Context, to destination) (*net.TCPConn, nameLookup, error) {
	if to.name == "" {
		if err := d.check(to.addr); err != nil {
			return nil, nameLookup{}, err
		}
		conn, err := d.plain.DialTCP(ctx, "tcp", netip.AddrPort{}, to.addr)
		return conn, nameLookup{}, err
	}
	var lookup nameLookup
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { lookup.start = time.Now() }, //nolint:forbidigo // to compare with a
		DNSDone:  func(httptrace.DNSDoneInfo) { lookup.end = time.Now() },    //nolint:forbidigo // context's deadline
	})
	conn, err := d.Dial(ctx, to.String())
	if err != nil {
		return nil, lookup, err
	}
	return conn.(*net.TCPConn), lookup, nil
}

// nameLookup is when the name of a destination was being resolved; zero if there
// was no name.
type nameLookup struct{ start, end time.Time }

// errSlowLookup marks timeouts for which the resolver is to blame.
var errSlowLookup = errors.New("name resolution took most of the time")

// blame marks a timeout as the resolver's fault if the lookup had left the
// endpoint less than half of the time.
func (l nameLookup) blame(ctx context.Context, err error) error {
	deadline, ok := ctx.Deadline()
	if err == nil || !ok || l.end.IsZero() || !isTimeout(err) || l.end.Sub(l.start) < deadline.Sub(l.end) {
		return err
	}
	return fmt.Errorf("%w: %w", errSlowLookup, err)
}
