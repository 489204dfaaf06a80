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
	"errors"
	"fmt"
	"net"
	"net/url"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/resolver"
	"farpoint.dev/farpoint/probes/transport"
)

// UDPSettings are the options of udp probes.
type UDPSettings struct {
	// Steps are what datagrams are sent, and what one that is received must hold.
	Steps []Step
}

// udpProber checks that a server answers datagrams.
type udpProber struct {
	dialer *transport.Dialer
	to     transport.Destination
	steps  []Step
}

func newUDPProber(d *transport.Dialer, def Definition, u *url.URL) (probes.Prober, error) {
	if def.UDPPort != 0 {
		def.Port = def.UDPPort
	}
	to, err := destinationFor(d, def, u)
	if err == nil {
		err = endsAfterPort(u)
	}
	if err != nil {
		return nil, err
	}
	p := &udpProber{dialer: d, to: to}
	if def.UDP != nil {
		p.steps = def.UDP.Steps
	}
	if err := validateSteps("udp", p.steps); err != nil {
		return nil, err
	}
	if len(p.steps) < 2 || len(p.steps[0].Send) == 0 || len(p.steps[len(p.steps)-1].Expect) == 0 {
		return nil, errors.New("healthCheck.udp.steps must begin with something to send, and end with something to expect: without an answer, nothing shows that a server is there")
	}
	return p, nil
}

func (p *udpProber) Location() probes.Location { return p.to.Location() }

func (p *udpProber) Scheme() string { return "udp" }

// Probe implements Prober.
func (p *udpProber) Probe(ctx context.Context) probes.Result {
	if err := p.dialer.ExchangeDatagrams(ctx, p.to, p.exchange); err != nil {
		return transport.Classify(ctx, err)
	}
	return probes.SuccessResult()
}

// exchange sends and receives datagrams, one for each step. Datagrams that do not match are
// ignored, up to a bound: an answer to an earlier probe may come late.
func (p *udpProber) exchange(conn net.Conn) error {
	buffer := answers.Get().(*[maxAnswerBytes]byte)
	defer answers.Put(buffer)
	for _, step := range p.steps {
		if len(step.Send) > 0 {
			if _, err := conn.Write(step.Send); err != nil {
				return err
			}
			continue
		}
		if err := receiveDatagram(conn, step.Expect, buffer[:]); err != nil {
			return err
		}
	}
	return nil
}

func receiveDatagram(conn net.Conn, expect, buffer []byte) error {
	for strays := range resolver.MaxStrays {
		n, err := conn.Read(buffer)
		switch {
		case err != nil && strays > 0 && transport.IsTimeout(err):
			return errUnexpectedContent
		case err != nil:
			return err
		case bytes.Contains(buffer[:n], expect):
			return nil
		}
	}
	return &probes.ReasonError{Reason: probes.ReasonContent, Err: fmt.Errorf("%d answers, none as expected", resolver.MaxStrays)}
}
