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
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/resolver"
	"farpoint.dev/farpoint/probes/socket"
	"farpoint.dev/farpoint/probes/transport"
)

// icmpProber checks that a host answers an echo request, which needs no privilege where
// the sysctl net.ipv4.ping_group_range allows it.
type icmpProber struct {
	dialer *transport.Dialer
	to     transport.Destination
}

func newICMPProber(d *transport.Dialer, def Definition, u *url.URL) (probes.Prober, error) {
	if u.Port() != "" || u.Path != "" || u.Fragment != "" {
		return nil, errors.New("icmp URLs take no port, path or fragment: remove everything after the host")
	}
	def.Port = 1 // there are none
	to, err := destinationOf(u, def.own())
	if err != nil {
		return nil, err
	}
	to.Addr = netip.AddrPortFrom(to.Addr.Addr(), 0)
	if err := admitURL(d, to); err != nil {
		return nil, err
	}
	return &icmpProber{dialer: d, to: to}, nil
}

func (p *icmpProber) Location() probes.Location { return p.to.Location() }

func (p *icmpProber) Scheme() string { return "icmp" }

// Probe implements Prober.
func (p *icmpProber) Probe(ctx context.Context) probes.Result {
	err := p.ping(ctx)
	switch {
	case errors.Is(err, errEchoForbidden):
		return probes.UnknownResult(probes.ReasonICMPForbidden)
	case err != nil:
		return transport.Classify(ctx, err)
	}
	return probes.SuccessResult()
}

func (p *icmpProber) ping(ctx context.Context) error {
	return p.dialer.TryEach(ctx, p.to, func(to netip.AddrPort) error {
		conn, err := openEcho(to.Addr())
		if err != nil {
			return err
		}
		defer conn.Close()
		defer socket.EndWithContext(ctx, conn)()
		return echo(conn, to.Addr().Is6())
	})
}

// echoConn takes echo requests to one address. The kernel sets their checksum and
// identifier, and hands over the replies with that identifier.
type echoConn interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
}

// errEchoForbidden is what openEcho returns, wrapped, where the kernel does not let us.
var errEchoForbidden = errors.New("no permission to open an ICMP socket")

// Types of messages, of ICMP (RFC 792) and of ICMPv6 (RFC 4443, 4.1).
const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
)

// echo sends a request and waits for its reply, which must repeat the sequence number and
// sixteen random bytes: it cannot be that of another probe, nor of a host that replies
// without being asked.
func echo(conn io.ReadWriter, v6 bool) error {
	var request, reply [24]byte // type, code, checksum (2 bytes), identifier (2), sequence number (2), data
	request[0] = echoRequest4
	replyType := byte(echoReply4)
	if v6 {
		request[0], replyType = echoRequest6, echoReply6
	}
	const sequence = 6
	binary.BigEndian.PutUint16(request[sequence:], uint16(rand.Uint32()))
	binary.BigEndian.PutUint64(request[8:], rand.Uint64())
	binary.BigEndian.PutUint64(request[16:], rand.Uint64())
	if _, err := conn.Write(request[:]); err != nil {
		return err
	}
	for range resolver.MaxStrays {
		n, err := conn.Read(reply[:])
		if err != nil {
			return err
		}
		if n == len(reply) && reply[0] == replyType && reply[1] == 0 && bytes.Equal(reply[sequence:], request[sequence:]) {
			return nil
		}
	}
	return &probes.ReasonError{Reason: probes.ReasonProtocol, Err: fmt.Errorf("%d replies, none to the request", resolver.MaxStrays)}
}
