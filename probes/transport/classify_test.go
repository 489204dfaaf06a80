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

func dialError(err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
}

func readError(err error) error { return &net.OpError{Op: "read", Net: "tcp", Err: err} }

func inHTTP(err error) error { return &probes.ReasonError{Reason: probes.ReasonProtocol, Err: err} }

func inTLS(err error) error {
	return &probes.ReasonError{Reason: probes.ReasonTLSHandshake, Err: err}
}

type errorCase struct {
	name string
	err  error
	want probes.Result
}

func checkClassify(ctx context.Context, t *testing.T, cases []errorCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			if got := Classify(ctx, test.err); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestClassify_ErrorOfTheEndpoint_IsAFailure(t *testing.T) {
	checkClassify(t.Context(), t, []errorCase{
		{"refused", dialError(syscall.ECONNREFUSED), probes.FailureResult(probes.ReasonConnectionRefused)},
		{"reset", inHTTP(readError(os.NewSyscallError("read", syscall.ECONNRESET))), probes.FailureResult(probes.ReasonConnectionClosed)},
		{"broken pipe", readError(syscall.EPIPE), probes.FailureResult(probes.ReasonConnectionClosed)},
		{"end of file", inHTTP(io.EOF), probes.FailureResult(probes.ReasonConnectionClosed)},
		{"end in the middle", inHTTP(io.ErrUnexpectedEOF), probes.FailureResult(probes.ReasonConnectionClosed)},
		{"end in a handshake", inTLS(io.EOF), probes.FailureResult(probes.ReasonConnectionClosed)},
		{"kernel's timeout", dialError(syscall.ETIMEDOUT), probes.FailureResult(probes.ReasonTimeout)},
		{"connection's deadline", inHTTP(readError(os.ErrDeadlineExceeded)), probes.FailureResult(probes.ReasonTimeout)},
		{"context's deadline", readError(context.DeadlineExceeded), probes.FailureResult(probes.ReasonTimeout)},
		{"no such host", dialError(syscall.EHOSTUNREACH), probes.FailureResult(probes.ReasonHostUnreachable)},
		{"host down", dialError(syscall.EHOSTDOWN), probes.FailureResult(probes.ReasonHostUnreachable)},
	})
}

func TestClassify_ErrorOfTheOwnHost_IsUnknown(t *testing.T) {
	checkClassify(t.Context(), t, []errorCase{
		{"file descriptors", dialError(syscall.EMFILE), probes.UnknownResult(probes.ReasonLocalResources)},
		{"file table", dialError(syscall.ENFILE), probes.UnknownResult(probes.ReasonLocalResources)},
		{"ports", dialError(syscall.EADDRNOTAVAIL), probes.UnknownResult(probes.ReasonLocalResources)},
		{"buffers", dialError(syscall.ENOBUFS), probes.UnknownResult(probes.ReasonLocalResources)},
		{"memory", dialError(syscall.ENOMEM), probes.UnknownResult(probes.ReasonLocalResources)},
		{"no route", dialError(syscall.ENETUNREACH), probes.UnknownResult(probes.ReasonNetworkUnreachable)},
		{"network down", dialError(syscall.ENETDOWN), probes.UnknownResult(probes.ReasonNetworkUnreachable)},
		{"local firewall", dialError(syscall.EPERM), probes.UnknownResult(probes.ReasonNetworkUnreachable)},
		{"prohibited route", dialError(syscall.EACCES), probes.UnknownResult(probes.ReasonNetworkUnreachable)},
		{"no IPv6", dialError(syscall.EAFNOSUPPORT), probes.UnknownResult(probes.ReasonNetworkUnreachable)},
	})
}

func TestClassify_ErrorThatARouterMayHaveCaused_DependsOnWhere(t *testing.T) {
	checkClassify(t.Context(), t, []errorCase{
		{"own host at once", &socket.Error{Errno: syscall.EHOSTUNREACH, Local: true}, probes.UnknownResult(probes.ReasonNetworkUnreachable)},
		{"own host's blackhole route", &socket.Error{Errno: syscall.EINVAL, Local: true}, probes.UnknownResult(probes.ReasonNetworkUnreachable)},
		{"own host refuses", &socket.Error{Errno: syscall.ECONNREFUSED, Local: true}, probes.UnknownResult(probes.ReasonNetworkUnreachable)},
		{"own host without ports", &socket.Error{Errno: syscall.EADDRNOTAVAIL, Local: true}, probes.UnknownResult(probes.ReasonLocalResources)},
		{"router refuses", inHTTP(&socket.Error{Errno: syscall.ECONNREFUSED, Local: false}), probes.FailureResult(probes.ReasonConnectionRefused)},
		{"router without a route", inTLS(&socket.Error{Errno: syscall.ENETUNREACH, Local: false}), probes.FailureResult(probes.ReasonHostUnreachable)},
		{"router prohibits", &socket.Error{Errno: syscall.EACCES, Local: false}, probes.FailureResult(probes.ReasonHostUnreachable)},
	})
}

func TestClassify_LookupOrEgressPolicyFails_NamesTheReason(t *testing.T) {
	checkClassify(t.Context(), t, []errorCase{
		{"no such name", &resolver.LookupError{Name: "legacy.example", Outcome: resolver.LookupMissing}, probes.UnknownResult(probes.ReasonNameResolution)},
		{"silent resolver", &resolver.LookupError{Name: "legacy.example", Outcome: resolver.LookupTimeout}, probes.UnknownResult(probes.ReasonNameResolution)},
		{"slow resolver", &slowLookupError{readError(os.ErrDeadlineExceeded)}, probes.UnknownResult(probes.ReasonNameResolution)},
		{"guard", readError(fmt.Errorf("%w: 127.0.0.1", egress.ErrAddressRefused)), probes.FailureResult(probes.ReasonAddressRefused)},
	})
}

func TestClassify_ContextIsCancelled_IsUnknown(t *testing.T) {
	checkClassify(t.Context(), t, []errorCase{
		{"cancelled dial", readError(context.Canceled), probes.UnknownResult(probes.ReasonCanceled)},
	})
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	checkClassify(canceled, t, []errorCase{
		{"cancelled", readError(os.ErrDeadlineExceeded), probes.UnknownResult(probes.ReasonCanceled)},
		{"cancelled lookup", &resolver.LookupError{Name: "legacy.example", Outcome: resolver.LookupTimeout}, probes.UnknownResult(probes.ReasonCanceled)},
	})
}

func TestClassify_TLSOrContentFails_NamesTheReason(t *testing.T) {
	checkClassify(t.Context(), t, []errorCase{
		{"unknown authority", inTLS(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), probes.FailureResult(probes.ReasonCertificate)},
		{"no roots", inTLS(&tls.CertificateVerificationError{Err: x509.SystemRootsError{}}), probes.UnknownResult(probes.ReasonInternal)},
		{"no TLS", inTLS(tls.RecordHeaderError{}), probes.FailureResult(probes.ReasonProtocol)},
		{"late alert", inHTTP(&net.OpError{Op: "remote error", Err: tls.AlertError(116)}), probes.FailureResult(probes.ReasonTLSHandshake)},
		{"other handshake error", inTLS(errors.New("tls: server selected unsupported version")), probes.FailureResult(probes.ReasonTLSHandshake)},
		{"malformed response", inHTTP(errors.New("malformed")), probes.FailureResult(probes.ReasonProtocol)},
		{"malformed body", inHTTP(gzip.ErrHeader), probes.FailureResult(probes.ReasonProtocol)},
	})
}

func TestClassify_UnheardOfError_IsInternal(t *testing.T) {
	checkClassify(t.Context(), t, []errorCase{
		{"unheard-of errno", dialError(syscall.EINVAL), probes.UnknownResult(probes.ReasonInternal)},
		{"unheard-of error", &url.Error{Err: errors.New("?")}, probes.UnknownResult(probes.ReasonInternal)},
	})
}

// TestReasonsAreDescribed keeps a reason from reaching users without its sentence.
func TestReasonsAreDescribed(t *testing.T) {
	for _, result := range socket.ErrnoResults {
		if result.Message() == "" {
			t.Errorf("%s has no description", result.Reason)
		}
	}
}
