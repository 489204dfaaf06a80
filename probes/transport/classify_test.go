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
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"
	"testing"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/resolver"
	"farpoint.dev/farpoint/probes/socket"
)

func TestClassify(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	read := func(err error) error { return &net.OpError{Op: "read", Net: "tcp", Err: err} }
	inHTTP := func(err error) error { return &probes.ReasonError{Reason: probes.ReasonProtocol, Err: err} }
	inTLS := func(err error) error { return &probes.ReasonError{Reason: probes.ReasonTLSHandshake, Err: err} }

	for _, test := range []struct {
		name string
		ctx  context.Context
		err  error
		want probes.Result
	}{
		{"refused", nil, dial(syscall.ECONNREFUSED), probes.FailureResult(probes.ReasonConnectionRefused)},
		{"reset", nil, inHTTP(read(os.NewSyscallError("read", syscall.ECONNRESET))), probes.FailureResult(probes.ReasonConnectionClosed)},
		{"broken pipe", nil, read(syscall.EPIPE), probes.FailureResult(probes.ReasonConnectionClosed)},
		{"end of file", nil, inHTTP(io.EOF), probes.FailureResult(probes.ReasonConnectionClosed)},
		{"end in the middle", nil, inHTTP(io.ErrUnexpectedEOF), probes.FailureResult(probes.ReasonConnectionClosed)},
		{"end in a handshake", nil, inTLS(io.EOF), probes.FailureResult(probes.ReasonConnectionClosed)},
		{"kernel's timeout", nil, dial(syscall.ETIMEDOUT), probes.FailureResult(probes.ReasonTimeout)},
		{"connection's deadline", nil, inHTTP(read(os.ErrDeadlineExceeded)), probes.FailureResult(probes.ReasonTimeout)},
		{"context's deadline", nil, read(context.DeadlineExceeded), probes.FailureResult(probes.ReasonTimeout)},
		{"no such host", nil, dial(syscall.EHOSTUNREACH), probes.FailureResult(probes.ReasonHostUnreachable)},
		{"host down", nil, dial(syscall.EHOSTDOWN), probes.FailureResult(probes.ReasonHostUnreachable)},

		{"file descriptors", nil, dial(syscall.EMFILE), probes.UnknownResult(probes.ReasonLocalResources)},
		{"file table", nil, dial(syscall.ENFILE), probes.UnknownResult(probes.ReasonLocalResources)},
		{"ports", nil, dial(syscall.EADDRNOTAVAIL), probes.UnknownResult(probes.ReasonLocalResources)},
		{"buffers", nil, dial(syscall.ENOBUFS), probes.UnknownResult(probes.ReasonLocalResources)},
		{"memory", nil, dial(syscall.ENOMEM), probes.UnknownResult(probes.ReasonLocalResources)},
		{"no route", nil, dial(syscall.ENETUNREACH), probes.UnknownResult(probes.ReasonNetworkUnreachable)},
		{"network down", nil, dial(syscall.ENETDOWN), probes.UnknownResult(probes.ReasonNetworkUnreachable)},
		{"local firewall", nil, dial(syscall.EPERM), probes.UnknownResult(probes.ReasonNetworkUnreachable)},
		{"prohibited route", nil, dial(syscall.EACCES), probes.UnknownResult(probes.ReasonNetworkUnreachable)},
		{"no IPv6", nil, dial(syscall.EAFNOSUPPORT), probes.UnknownResult(probes.ReasonNetworkUnreachable)},

		{"own host at once", nil, &socket.Error{Errno: syscall.EHOSTUNREACH, Local: true}, probes.UnknownResult(probes.ReasonNetworkUnreachable)},
		{"own host's blackhole route", nil, &socket.Error{Errno: syscall.EINVAL, Local: true}, probes.UnknownResult(probes.ReasonNetworkUnreachable)},
		{"own host refuses", nil, &socket.Error{Errno: syscall.ECONNREFUSED, Local: true}, probes.UnknownResult(probes.ReasonNetworkUnreachable)},
		{"own host without ports", nil, &socket.Error{Errno: syscall.EADDRNOTAVAIL, Local: true}, probes.UnknownResult(probes.ReasonLocalResources)},
		{"router refuses", nil, inHTTP(&socket.Error{Errno: syscall.ECONNREFUSED, Local: false}), probes.FailureResult(probes.ReasonConnectionRefused)},
		{"router without a route", nil, inTLS(&socket.Error{Errno: syscall.ENETUNREACH, Local: false}), probes.FailureResult(probes.ReasonHostUnreachable)},
		{"router prohibits", nil, &socket.Error{Errno: syscall.EACCES, Local: false}, probes.FailureResult(probes.ReasonHostUnreachable)},

		{"no such name", nil, &resolver.LookupError{Name: "legacy.example", Outcome: resolver.LookupMissing}, probes.UnknownResult(probes.ReasonNameResolution)},
		{"silent resolver", nil, &resolver.LookupError{Name: "legacy.example", Outcome: resolver.LookupTimeout}, probes.UnknownResult(probes.ReasonNameResolution)},
		{"slow resolver", nil, &slowLookupError{read(os.ErrDeadlineExceeded)}, probes.UnknownResult(probes.ReasonNameResolution)},
		{"guard", nil, read(fmt.Errorf("%w: 127.0.0.1", egress.ErrAddressRefused)), probes.FailureResult(probes.ReasonAddressRefused)},

		{"cancelled", canceled, read(os.ErrDeadlineExceeded), probes.UnknownResult(probes.ReasonCanceled)},
		{"cancelled lookup", canceled, &resolver.LookupError{Name: "legacy.example", Outcome: resolver.LookupTimeout}, probes.UnknownResult(probes.ReasonCanceled)},
		{"cancelled dial", nil, read(context.Canceled), probes.UnknownResult(probes.ReasonCanceled)},

		{"unknown authority", nil, inTLS(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), probes.FailureResult(probes.ReasonCertificate)},
		{"no roots", nil, inTLS(&tls.CertificateVerificationError{Err: x509.SystemRootsError{}}), probes.UnknownResult(probes.ReasonInternal)},
		{"no TLS", nil, inTLS(tls.RecordHeaderError{}), probes.FailureResult(probes.ReasonProtocol)},
		{"late alert", nil, inHTTP(&net.OpError{Op: "remote error", Err: tls.AlertError(116)}), probes.FailureResult(probes.ReasonTLSHandshake)},
		{"other handshake error", nil, inTLS(errors.New("tls: server selected unsupported version")), probes.FailureResult(probes.ReasonTLSHandshake)},
		{"malformed response", nil, inHTTP(errors.New("malformed")), probes.FailureResult(probes.ReasonProtocol)},
		{"malformed body", nil, inHTTP(gzip.ErrHeader), probes.FailureResult(probes.ReasonProtocol)},

		{"unheard-of errno", nil, dial(syscall.EINVAL), probes.UnknownResult(probes.ReasonInternal)},
		{"unheard-of error", nil, &url.Error{Err: errors.New("?")}, probes.UnknownResult(probes.ReasonInternal)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.ctx == nil {
				test.ctx = t.Context()
			}
			if got := Classify(test.ctx, test.err); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestReasonsAreDescribed keeps a reason from reaching users without its sentence.
func TestReasonsAreDescribed(t *testing.T) {
	for _, result := range socket.ErrnoResults {
		if result.Message() == "" {
			t.Errorf("%s has no description", result.Reason)
		}
	}
}
