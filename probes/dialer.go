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
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Dialer opens the connections of all probers. It checks every address it is
// about to connect to, after name resolution, so that a name that resolves
// differently the second time gains nothing.
type Dialer struct {
	policy *EgressPolicy
	// bounds are those of the tenant whose probes these are; nil are none.
	bounds *Bounds
	// check returns an error if no probe may connect to a place. Port 0 is that of what has
	// none.
	check func(netip.AddrPort) error
	// dialer connects to what names resolve to, which it checks as it connects.
	dialer net.Dialer
	roots  *rootPools
	// postgres are the settings that all probes of PostgreSQL begin with.
	postgres func() (*pgconn.Config, error)
}

// NewDialer returns a dialer that connects only where the policy lets it.
func NewDialer(policy *EgressPolicy) *Dialer {
	d := &Dialer{
		policy:   policy,
		roots:    &rootPools{},
		postgres: sync.OnceValues(postgresDefaults),
	}
	d.guard()
	return d
}

// Within returns a dialer that connects only where the bounds let it as well; nil are
// none. What can be shared is.
func (d *Dialer) Within(bounds *Bounds) *Dialer {
	within := *d
	within.bounds = bounds
	within.guard()
	return &within
}

// guard has every connection checked.
func (d *Dialer) guard() {
	d.check = func(to netip.AddrPort) error {
		err := d.policy.CheckProbe(to.Addr())
		if err == nil {
			err = d.checkBounds(to)
		}
		return err
	}
	// A probe's connection is too short for keep-alive, which would cost several system
	// calls a dial.
	d.dialer.KeepAlive = -1
	d.dialer.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
		peer, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrAddressRefused, err)
		}
		return d.check(peer)
	}
}

func (d *Dialer) checkBounds(to netip.AddrPort) error {
	if err := d.bounds.CheckAddress(to.Addr()); err != nil || to.Port() == 0 {
		return err
	}
	return d.bounds.CheckPort(to.Port())
}

// admit returns an error if no probe may go to the destination. What a name resolves to is
// checked when it is connected to.
func (d *Dialer) admit(to destination) error {
	for _, name := range [...]string{to.called, to.name} {
		if name == "" {
			continue
		}
		if err := d.bounds.CheckName(name); err != nil {
			return err
		}
	}
	switch {
	case to.name == "":
		return d.check(to.addr)
	case to.addr.Port() == 0:
		return nil
	}
	return d.bounds.CheckPort(to.addr.Port())
}

// ResolveBy makes the names in probe URLs resolve by these name servers instead of the
// host's. It is called before the first probe.
func (d *Dialer) ResolveBy(servers []netip.AddrPort) {
	var turn atomic.Uint32
	d.dialer.Resolver = &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			server := servers[int(turn.Add(1)-1)%len(servers)]
			return (&net.Dialer{}).DialContext(ctx, network, server.String())
		},
	}
}

// Dial opens a TCP connection to host:port, which may hold a name.
func (d *Dialer) Dial(ctx context.Context, address string) (net.Conn, error) {
	return d.dialer.DialContext(ctx, "tcp", address)
}

// stream is a TCP connection as probes use it.
type stream interface {
	net.Conn
	CloseWrite() error
	SetNoDelay(noDelay bool) error
	SetKeepAliveConfig(net.KeepAliveConfig) error
}

// converse opens a connection of its own, hands it to talk and closes it. The
// context's deadline and its cancellation hold for all of it: talk need not look
// at the context, and must not set deadlines. It must end when the connection
// fails.
func (d *Dialer) converse(ctx context.Context, to destination, talk func(stream) error) error {
	if err := ctx.Err(); err != nil {
		return err // a dial would still send its SYN
	}
	if to.name != "" {
		return d.converseByName(ctx, to, talk)
	}
	if err := d.check(to.addr); err != nil {
		return err
	}
	conn, err := openSocket(ctx, to.addr)
	if err != nil {
		return err
	}
	return converseOn(ctx, conn, func(stream) error {
		if err := conn.connect(); err != nil {
			return err
		}
		return to.talkOn(conn, talk)
	})
}

// converseOn is converse on a connection that there is already.
func converseOn(ctx context.Context, conn stream, talk func(stream) error) error {
	defer conn.Close()
	defer bind(ctx, conn)()
	return talk(conn)
}

// converseByName is converse for a destination that has to be resolved first.
func (d *Dialer) converseByName(ctx context.Context, to destination, talk func(stream) error) error {
	return d.dialAnd(ctx, "tcp", to, func(conn net.Conn) error { return to.talkOn(conn.(*net.TCPConn), talk) })
}

// talkOn hands a connection that stands to talk, once what comes first has been said.
func (d destination) talkOn(conn stream, talk func(stream) error) error {
	if err := d.proxy.introduce(conn); err != nil {
		return err
	}
	return talk(conn)
}

// exchangeDatagrams is converse by UDP.
func (d *Dialer) exchangeDatagrams(ctx context.Context, to destination, talk func(net.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.dialAnd(ctx, "udp", to, talk)
}

// dialAnd dials by package net, which resolves names, and hands the connection to talk.
func (d *Dialer) dialAnd(ctx context.Context, network string, to destination, talk func(net.Conn) error) error {
	conn, lookup, err := d.resolveAndDial(ctx, network, to)
	if err != nil {
		return lookup.blame(ctx, err)
	}
	defer conn.Close()
	defer bind(ctx, conn)()
	return lookup.blame(ctx, talk(conn))
}

// bind makes a connection end with the context, until it is told to stop. Only when it
// fires this costs a goroutine. The context's timer does for the deadline, too.
func bind(ctx context.Context, conn interface{ SetDeadline(time.Time) error }) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(longAgo) })
}

var longAgo = time.Unix(1, 0)

func (d *Dialer) resolveAndDial(ctx context.Context, network string, to destination) (net.Conn, nameLookup, error) {
	var lookup nameLookup
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { lookup.start = time.Now() }, //nolint:forbidigo // to compare with a
		DNSDone:  func(httptrace.DNSDoneInfo) { lookup.end = time.Now() },    //nolint:forbidigo // context's deadline
	})
	conn, err := d.dialer.DialContext(ctx, network, to.dialled())
	return conn, lookup, err
}

// resolve returns the address of a destination, the first one of a name. Whoever connects
// to it must check it.
func (d *Dialer) resolve(ctx context.Context, to destination) (netip.Addr, nameLookup, error) {
	if to.name == "" {
		return to.addr.Addr().Unmap(), nameLookup{}, nil
	}
	lookup := nameLookup{start: time.Now()} //nolint:forbidigo // to compare with a context's deadline
	resolver := d.dialer.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	addrs, err := resolver.LookupNetIP(ctx, "ip", to.name)
	lookup.end = time.Now() //nolint:forbidigo // see above
	if err != nil {
		return netip.Addr{}, lookup, err
	}
	return addrs[0].Unmap(), lookup, nil
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
