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

// stageError says what a probe was doing when it failed. Its reason is the one
// that counts when the error itself is none of the network's.
type stageError struct {
	reason Reason
	// code is that of the result; 0 unless the reason is ReasonStatus.
	code uint16
	error
}

func (e *stageError) Unwrap() error { return e.error }

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
		unsent     *credentialsWithheld
		unresolved *lookupError
		attributed *networkError
		errno      syscall.Errno
	)
	switch {
	case errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, context.Canceled):
		// First, since a cancellation looks like a timeout further down.
		return unknown(ReasonCanceled)
	case errors.Is(err, ErrAddressRefused), errors.Is(err, ErrOutOfBounds):
		return failure(ReasonAddressRefused)
	case errors.As(err, &unresolved), errors.Is(err, errSlowLookup):
		// Before timeouts: a silent resolver is no silent endpoint. That a name
		// does not exist is no verdict either, since the endpoint may be well.
		return unknown(ReasonNameResolution)
	case errors.Is(err, errCrowded):
		return unknown(ReasonCrowded)
	case errors.As(err, &unsent):
		return unsent.result()
	case errors.As(err, &attributed):
		return attributed.result()
	case errors.As(err, &errno):
		if result, ok := errnoResults[errno]; ok {
			return result
		}
	case isTimeout(err):
		return failure(ReasonTimeout)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return failure(ReasonConnectionClosed)
	}
	return classifyTLS(err)
}

// isTimeout tells the deadline's errors of all layers apart from the others;
// errors.Is(err, context.DeadlineExceeded) misses those of connections.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// errnoResults are the results of errnos that come without a [networkError]: those that can
// come from one side only, and on systems other than Linux all of them, where the kernel does
// not say which host caused an error.
var errnoResults = map[syscall.Errno]Result{
	syscall.ECONNREFUSED: failure(ReasonConnectionRefused),
	syscall.ECONNRESET:   failure(ReasonConnectionClosed),
	syscall.ECONNABORTED: failure(ReasonConnectionClosed),
	syscall.EPIPE:        failure(ReasonConnectionClosed),
	syscall.ENOTCONN:     failure(ReasonConnectionClosed),
	syscall.ETIMEDOUT:    failure(ReasonTimeout),
	syscall.EHOSTUNREACH: failure(ReasonHostUnreachable),
	syscall.EHOSTDOWN:    failure(ReasonHostUnreachable),

	syscall.EMFILE:        unknown(ReasonLocalResources),
	syscall.ENFILE:        unknown(ReasonLocalResources),
	syscall.EADDRNOTAVAIL: unknown(ReasonLocalResources), // no port left
	syscall.EADDRINUSE:    unknown(ReasonLocalResources),
	syscall.EAGAIN:        unknown(ReasonLocalResources), // no routing cache entry
	syscall.ENOBUFS:       unknown(ReasonLocalResources),
	syscall.ENOMEM:        unknown(ReasonLocalResources),

	syscall.ENETUNREACH:  unknown(ReasonNetworkUnreachable),
	syscall.ENETDOWN:     unknown(ReasonNetworkUnreachable),
	syscall.EAFNOSUPPORT: unknown(ReasonNetworkUnreachable), // a host without IPv6
	syscall.EPERM:        unknown(ReasonNetworkUnreachable), // a firewall on this host
	syscall.EACCES:       unknown(ReasonNetworkUnreachable),
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
		return unknown(ReasonInternal) // the operator's image lacks certificates
	case errors.As(err, &notVerified):
		return failure(ReasonCertificate)
	case errors.As(err, &notTLS):
		return failure(ReasonProtocol)
	case errors.As(err, &alert) && (alert.Op == "remote error" || alert.Op == "local error"):
		// How crypto/tls wraps alerts. They come late, too: a TLS 1.3 server asks
		// for the client's certificate after the client's handshake is over.
		return failure(ReasonTLSHandshake)
	case errors.As(err, &stage):
		return Result{Outcome: Failure, Reason: stage.reason, Code: stage.code}
	}
	return unknown(ReasonInternal)
}
