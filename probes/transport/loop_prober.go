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
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"

	"farpoint.dev/farpoint/probes"
)

// LoopProber is a prober whose probe is one connection to an address, with at most one request and
// one response. The event loop of package scheduler makes such probes without a goroutine for
// each; Probe makes them, too.
type LoopProber interface {
	probes.Prober
	// LoopEligible reports whether the loop can make the probe: there is no name to resolve, no
	// TLS, no redirect to follow, and no expression to match, which takes time.
	LoopEligible() bool
	// Address returns where to connect, or an error if no probe may connect there.
	Address() (netip.AddrPort, error)
	// Request returns the request; empty for none.
	Request() []byte
	// ReadsResponse reports whether the probe reads a response.
	ReadsResponse() bool
	// ParseResponse reads as much of the response as matters, and returns how to end the
	// connection. Its error is the reader's, or says what is wrong with the response.
	ParseResponse(answer io.Reader) (probes.Result, Ending, error)
}

// ErrIncomplete is the error of a [PartialResponse] at its end, when more may come.
var ErrIncomplete = errors.New("the response is incomplete")

// PartialResponse is the part of a response that has been received. ParseResponse returns
// ErrIncomplete if it needs more.
type PartialResponse struct{ Received []byte }

// Read implements io.Reader.
func (p *PartialResponse) Read(b []byte) (int, error) {
	if len(p.Received) == 0 {
		return 0, ErrIncomplete
	}
	n := copy(b, p.Received)
	p.Received = p.Received[n:]
	return n, nil
}

// ResumeProbe makes the rest of a probe that the loop has begun, on a connection where part of the
// request has been sent, or part of the response received.
func ResumeProbe(ctx context.Context, prober LoopProber, conn Stream, unsent, received []byte) probes.Result {
	result, ending := probes.SuccessResult(), CloseAfterResponse
	err := converseOn(ctx, conn, func(conn Stream) (err error) {
		if len(unsent) > 0 {
			_, err = conn.Write(unsent)
		}
		if prober.ReadsResponse() { // whether or not it could be sent, see httpProber.exchange
			result, ending, err = prober.ParseResponse(io.MultiReader(bytes.NewReader(received), conn))
		}
		if err == nil {
			ending.Apply(ctx, conn)
		}
		return err
	})
	if err != nil {
		return Classify(ctx, err)
	}
	return result
}
