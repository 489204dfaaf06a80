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
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"syscall"
)

// unexpectedStatus is the error of an endpoint that answered with a status that is none
// of the good ones.
func unexpectedStatus(code uint16) error {
	return &stageError{reason: ReasonStatus, code: code, error: errors.New("unexpected status")}
}

// classify turns an error into what it says about the endpoint. What is known to
// be the prober's own trouble is Unknown, and so is what is not known at all. None
// of the error's text gets into the result, since the endpoint may have written it.
func classify(ctx context.Context, err error) Result {
	var (
		known resultError
		errno syscall.Errno
	)
	switch {
	case errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, context.Canceled):
		// First, since a cancellation looks like a timeout further down.
		return UnknownResult(ReasonCanceled)
	case errors.Is(err, ErrAddressRefused), errors.Is(err, ErrOutOfBounds):
		return FailureResult(ReasonAddressRefused)
	case errors.As(err, &known):
		// Before timeouts: a silent name server is no silent endpoint.
		return known.probeResult()
	case errors.As(err, &errno):
		if result, ok := errnoResults[errno]; ok {
			return result
		}
	case isTimeout(err):
		return FailureResult(ReasonTimeout)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return FailureResult(ReasonConnectionClosed)
	}
	return classifyTLS(err)
}

// isTimeout tells the deadline's errors of all layers apart from the others;
// errors.Is(err, context.DeadlineExceeded) misses those of connections.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// classifyTLS is the part of classify for errors that are none of the network's.
func classifyTLS(err error) Result {
	var (
		noRoots     x509.SystemRootsError
		notVerified *tls.CertificateVerificationError
		notTLS      tls.RecordHeaderError
		alert       *net.OpError
		stage       *stageError
	)
	switch {
	case errors.As(err, &noRoots):
		return UnknownResult(ReasonInternal) // the operator's image lacks certificates
	case errors.As(err, &notVerified):
		return FailureResult(ReasonCertificate)
	case errors.As(err, &notTLS):
		return FailureResult(ReasonProtocol)
	case errors.As(err, &alert) && (alert.Op == "remote error" || alert.Op == "local error"):
		// How crypto/tls wraps alerts. They come late, too: a TLS 1.3 server asks
		// for the client's certificate after the client's handshake is over.
		return FailureResult(ReasonTLSHandshake)
	case errors.As(err, &stage):
		return Result{Outcome: Failure, Reason: stage.reason, Code: stage.code}
	}
	return UnknownResult(ReasonInternal)
}
