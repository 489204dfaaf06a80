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

package transport

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"k8s.io/utils/clock"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/socket"
)

// All probes connect in the same way: resolve the name, if there is one, check each address
// against the policy, connect by a socket of our own. The scheduler's loop does the same for
// addresses, without a goroutine for each.

// Stream is a TCP connection as probes use it.
type Stream interface {
	net.Conn
	CloseWrite() error
	SetNoDelay(noDelay bool) error
	SetKeepAliveConfig(net.KeepAliveConfig) error
}

// Converse opens a connection, calls exchange with it and closes it. The context's deadline and
// cancellation apply to all of that: exchange does not have to check the context, must not set
// deadlines, and must return when the connection fails.
func (d *Dialer) Converse(ctx context.Context, to Destination, exchange func(Stream) error) error {
	if err := ctx.Err(); err != nil {
		return err // a dial would still send its SYN
	}
	if to.DialName != "" {
		return d.converseByName(ctx, to, exchange)
	}
	if err := d.Check(to.Addr); err != nil {
		return err
	}
	conn, err := socket.OpenSocket(ctx, to.Addr)
	if err != nil {
		return err
	}
	return converseOn(ctx, conn, func(Stream) error {
		if err := conn.Connect(); err != nil {
			return err
		}
		return to.exchangeOn(conn, exchange)
	})
}

// converseOn is Converse on an open connection.
func converseOn(ctx context.Context, conn Stream, exchange func(Stream) error) error {
	defer conn.Close()
	defer socket.EndWithContext(ctx, conn)()
	return exchange(conn)
}

// converseByName is Converse for a destination whose name has to be resolved first.
func (d *Dialer) converseByName(ctx context.Context, to Destination, exchange func(Stream) error) error {
	addrs, lookup, err := d.resolve(ctx, to)
	if err != nil {
		return err
	}
	conn, err := d.connectFirst(ctx, addrs)
	if err != nil {
		return lookup.attributeTimeout(ctx, err)
	}
	return lookup.attributeTimeout(ctx, converseOn(ctx, conn, func(conn Stream) error { return to.exchangeOn(conn, exchange) }))
}

// exchangeOn sends the PROXY protocol's header, if the destination wants one, and calls exchange.
func (d Destination) exchangeOn(conn Stream, exchange func(Stream) error) error {
	if err := d.Proxy.writeHeader(conn); err != nil {
		return err
	}
	return exchange(conn)
}

// ExchangeDatagrams is Converse by UDP.
func (d *Dialer) ExchangeDatagrams(ctx context.Context, to Destination, exchange func(net.Conn) error) error {
	return d.TryEach(ctx, to, func(to netip.AddrPort) error {
		conn, err := socket.OpenDatagrams(ctx, to)
		if err != nil {
			return err
		}
		defer conn.Close()
		defer socket.EndWithContext(ctx, conn)()
		return exchange(conn)
	})
}

// TryEach calls try with one address of a destination after the other, as long as the network
// fails and not the endpoint. It does not divide the time between them: a silent address uses up
// all of it.
func (d *Dialer) TryEach(ctx context.Context, to Destination, try func(netip.AddrPort) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	addrs, lookup, err := d.resolve(ctx, to)
	if err != nil {
		return err
	}
	var failed []error
	for _, addr := range addrs {
		err := d.Check(addr)
		if err == nil {
			err = try(addr)
		}
		var network *socket.Error
		if err == nil || !errors.As(err, &network) && faultOf(ctx, err) == endpointFault {
			return lookup.attributeTimeout(ctx, err)
		}
		failed = append(failed, err)
	}
	return lookup.attributeTimeout(ctx, bestError(ctx, failed))
}

// attemptDelay is how long a connection to one address of a name has before the next address
// is tried as well (RFC 8305, 5, "Connection Attempt Delay").
const attemptDelay = 250 * time.Millisecond

// maxAttempts bounds the addresses of a name that one probe tries: a name may have a thousand.
const maxAttempts = 16

// attempt is the result of connecting to one address.
type attempt struct {
	conn *socket.Socket
	err  error
}

// connectFirst returns the first connection that is established (RFC 8305). It tries the addresses
// in their order, each when the one before has failed or has had attemptDelay. All attempts have
// ended when it returns.
func (d *Dialer) connectFirst(ctx context.Context, addrs []netip.AddrPort) (*socket.Socket, error) {
	if len(addrs) == 1 {
		return d.connect(ctx, addrs[0])
	}
	trying, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan attempt)
	next := clock.RealClock{}.NewTimer(0)
	defer next.Stop()
	var failed []error
	for left, underWay := addrs, 0; len(left)+underWay > 0; {
		select {
		case <-next.C():
			if len(left) == 0 {
				continue
			}
			to := left[0]
			left = left[1:]
			underWay++
			go func() {
				conn, err := d.connect(trying, to)
				ended <- attempt{conn, err}
			}()
			next.Reset(attemptDelay)
		case result := <-ended:
			underWay--
			if result.err == nil {
				cancel()
				closeLate(ended, underWay)
				return result.conn, nil
			}
			failed = append(failed, result.err)
			if ctx.Err() != nil {
				left = nil
			}
			next.Reset(0)
		}
	}
	return nil, bestError(ctx, failed)
}

// closeLate closes the connections of attempts that succeeded too late.
func closeLate(ended <-chan attempt, underWay int) {
	for range underWay {
		if late := <-ended; late.err == nil {
			late.conn.Close()
		}
	}
}

// connect returns an established connection.
func (d *Dialer) connect(ctx context.Context, to netip.AddrPort) (*socket.Socket, error) {
	if err := d.Check(to); err != nil {
		return nil, err
	}
	conn, err := socket.OpenSocket(ctx, to)
	if err != nil {
		return nil, err
	}
	release := socket.EndWithContext(ctx, conn)
	err = conn.Connect()
	if !release() && err == nil {
		err = ctx.Err() // the connection's deadline is over
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// Kinds of errors of one of several addresses, the most telling first: what the endpoint did, what
// the operator's own host did, and that probes may not connect there.
const (
	endpointFault = iota
	ownFault
	refusedAddress
)

func faultOf(ctx context.Context, err error) int {
	switch result := Classify(ctx, err); {
	case result.Reason == probes.ReasonAddressRefused:
		return refusedAddress
	case result.Outcome == probes.Unknown:
		return ownFault
	}
	return endpointFault
}

// bestError returns the most telling error of an endpoint's addresses, the first of several. Thus
// an address family that the operator's host lacks does not hide a death in the other one.
func bestError(ctx context.Context, failed []error) error {
	return slices.MinFunc(failed, func(a, b error) int { return cmp.Compare(faultOf(ctx, a), faultOf(ctx, b)) })
}

// resolve returns the addresses of a destination, at least one and at most maxAttempts. The
// caller must check an address before it connects.
func (d *Dialer) resolve(ctx context.Context, to Destination) ([]netip.AddrPort, nameLookup, error) {
	if to.DialName == "" {
		return []netip.AddrPort{netip.AddrPortFrom(to.Addr.Addr().Unmap(), to.Addr.Port())}, nameLookup{}, nil
	}
	lookup := nameLookup{start: time.Now()} //nolint:forbidigo // to compare with a context's deadline
	addrs, err := d.names.Addresses(ctx, to.DialName)
	lookup.end = time.Now() //nolint:forbidigo // see above
	if err != nil {
		return nil, lookup, err
	}
	resolved := make([]netip.AddrPort, 0, maxAttempts)
	for _, addr := range addrs[:min(len(addrs), maxAttempts)] {
		resolved = append(resolved, netip.AddrPortFrom(addr, to.Addr.Port()))
	}
	return resolved, lookup, nil
}

// nameLookup is when the resolution of a destination's name started and ended; zero without a
// name.
type nameLookup struct{ start, end time.Time }

// slowLookupError is a timeout that the name servers caused: they took most of the time.
type slowLookupError struct{ error }

func (e *slowLookupError) Unwrap() error { return e.error }

// ProbeResult implements probes.ResultError.
func (e *slowLookupError) ProbeResult() probes.Result {
	return probes.UnknownResult(probes.ReasonNameResolution)
}

// attributeTimeout marks a timeout as the resolver's fault if the lookup left the endpoint less
// than half of the time.
func (l nameLookup) attributeTimeout(ctx context.Context, err error) error {
	deadline, ok := ctx.Deadline()
	if err == nil || !ok || l.end.IsZero() || !IsTimeout(err) || l.end.Sub(l.start) < deadline.Sub(l.end) {
		return err
	}
	return &slowLookupError{err}
}
