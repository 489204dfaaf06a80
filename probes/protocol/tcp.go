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
	"io"
	"net/netip"
	"net/url"
	"sync"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/transport"
)

// maxAnswerBytes is how much a tcp probe reads to find what it expects.
const maxAnswerBytes = 4 << 10

// tcpProber checks that a port takes connections and, if asked to, that it answers.
type tcpProber struct {
	dialer *transport.Dialer
	to     transport.Destination
	send   []byte
	expect []byte
	// steps are those of a dialogue of more than one question and one answer; nil otherwise.
	steps []Step
}

func newTCPProber(d *transport.Dialer, def Definition, u *url.URL) (probes.Prober, error) {
	to, err := streamDestination(d, def, u)
	if err == nil {
		err = endsAfterPort(u)
	}
	if err != nil {
		return nil, err
	}
	p := &tcpProber{dialer: d, to: to}
	if def.TCP == nil {
		return p, nil
	}
	if def.TCP.StartTLS != "" {
		return nil, errors.New("healthCheck.tcp.startTLS goes over to TLS, which tcp URLs do not: write tls://")
	}
	p.setSteps(def.TCP.Steps)
	return p, validateSteps("tcp", def.TCP.Steps)
}

// setSteps also finds the dialogues that the event loop carries out: at most one question, and
// then at most one answer.
func (p *tcpProber) setSteps(steps []Step) {
	rest := steps
	if len(rest) > 0 && len(rest[0].Send) > 0 {
		p.send, rest = rest[0].Send, rest[1:]
	}
	if len(rest) > 0 && len(rest[0].Expect) > 0 {
		p.expect, rest = rest[0].Expect, rest[1:]
	}
	if len(rest) > 0 {
		p.send, p.expect, p.steps = nil, nil, steps
	}
}

func (p *tcpProber) Location() probes.Location { return p.to.Location() }

func (p *tcpProber) Scheme() string { return "tcp" }

// LoopEligible and the methods after it implement plain.
func (p *tcpProber) LoopEligible() bool {
	return p.to.DialName == "" && p.to.Proxy == transport.NoProxyProtocol && p.steps == nil
}

func (p *tcpProber) Address() (netip.AddrPort, error) { return p.to.Addr, p.dialer.Check(p.to.Addr) }

func (p *tcpProber) Request() []byte { return p.send }

func (p *tcpProber) ReadsResponse() bool { return len(p.expect) > 0 }

func (p *tcpProber) ParseResponse(answer io.Reader) (probes.Result, transport.Ending, error) {
	buffer := answers.Get().(*[maxAnswerBytes]byte)
	defer answers.Put(buffer)
	if err := readUntil(answer, p.expect, buffer[:]); err != nil {
		return probes.Result{}, transport.Ending{}, err
	}
	return probes.SuccessResult(), transport.CloseAfterResponse, nil
}

// Probe implements Prober.
func (p *tcpProber) Probe(ctx context.Context) probes.Result {
	err := p.dialer.Converse(ctx, p.to, func(conn transport.Stream) error {
		err := p.exchange(conn)
		if err == nil {
			transport.CloseAfterResponse.Apply(ctx, conn)
		}
		return err
	})
	if err != nil {
		return transport.Classify(ctx, err)
	}
	return probes.SuccessResult()
}

// exchange sends what is to be sent and waits for what is expected.
func (p *tcpProber) exchange(conn transport.Stream) error {
	if p.steps != nil {
		return runSteps(conn, p.steps)
	}
	if len(p.send) > 0 {
		if _, err := conn.Write(p.send); err != nil {
			return err
		}
	}
	if len(p.expect) == 0 {
		return nil
	}
	_, _, err := p.ParseResponse(conn)
	return err
}

var answers = sync.Pool{New: func() any { return new([maxAnswerBytes]byte) }}

// readUntil reads until the expected bytes have appeared or the buffer is full.
func readUntil(r io.Reader, expect, buffer []byte) error {
	have := 0
	for have < len(buffer) {
		n, err := r.Read(buffer[have:])
		// Only what is new can complete the match.
		from := max(0, have-len(expect)+1)
		have += n
		if bytes.Contains(buffer[from:have], expect) {
			return nil
		}
		if err != nil && have > 0 && (errors.Is(err, io.EOF) || transport.IsTimeout(err)) {
			break // it has said its piece, and that was something else
		}
		if err != nil {
			return err
		}
	}
	return errUnexpectedContent
}
