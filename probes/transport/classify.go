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
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"syscall"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/socket"
)

// UnexpectedStatus returns the error of an endpoint that answered with another status than the
// expected ones.
func UnexpectedStatus(code uint16) error {
	return &probes.ReasonError{Reason: probes.ReasonStatus, Code: code, Err: errors.New("unexpected status")}
}

// Classify turns an error into a result for the endpoint. Errors that the operator caused are
// Unknown, and so are unknown errors. None of the error's text gets into the result, since the
// endpoint may have written it.
func Classify(ctx context.Context, err error) probes.Result {
	var (
		known probes.ResultError
		errno syscall.Errno
	)
	switch {
	case errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, context.Canceled):
		// First, since a cancellation looks like a timeout further down.
		return probes.UnknownResult(probes.ReasonCanceled)
	case errors.Is(err, egress.ErrAddressRefused), errors.Is(err, egress.ErrOutOfBounds):
		return probes.FailureResult(probes.ReasonAddressRefused)
	case errors.As(err, &known):
		// Before timeouts: a silent name server is not a silent endpoint.
		return known.ProbeResult()
	case errors.As(err, &errno):
		if result, ok := socket.ErrnoResults[errno]; ok {
			return result
		}
	case IsTimeout(err):
		return probes.FailureResult(probes.ReasonTimeout)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return probes.FailureResult(probes.ReasonConnectionClosed)
	}
	return classifyTLS(err)
}

// IsTimeout reports whether an error is that of a deadline, in any layer: connections return other
// errors than context.DeadlineExceeded.
func IsTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// classifyTLS is the part of Classify for errors that do not come from the network.
func classifyTLS(err error) probes.Result {
	var (
		noRoots     x509.SystemRootsError
		notVerified *tls.CertificateVerificationError
		notTLS      tls.RecordHeaderError
		alert       *net.OpError
		stage       *probes.ReasonError
	)
	switch {
	case errors.As(err, &noRoots):
		return probes.UnknownResult(probes.ReasonInternal) // the operator's image lacks certificates
	case errors.As(err, &notVerified):
		return probes.FailureResult(probes.ReasonCertificate)
	case errors.As(err, &notTLS):
		return probes.FailureResult(probes.ReasonProtocol)
	case errors.As(err, &alert) && (alert.Op == "remote error" || alert.Op == "local error"):
		// How crypto/tls wraps alerts. They come late, too: a TLS 1.3 server asks
		// for the client's certificate after the client's handshake is over.
		return probes.FailureResult(probes.ReasonTLSHandshake)
	case errors.As(err, &stage):
		return probes.Result{Outcome: probes.Failure, Reason: stage.Reason, Code: stage.Code}
	}
	return probes.UnknownResult(probes.ReasonInternal)
}
