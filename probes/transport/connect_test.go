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
	"errors"
	"os"
	"testing"

	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/socket"
)

func TestMostTelling(t *testing.T) {
	noIPv6 := &socket.Error{Errno: 101, Local: true}
	refused := &socket.Error{Errno: 111}
	forbidden := egress.ErrAddressRefused
	for _, test := range []struct {
		errs []error
		want error
	}{
		{[]error{noIPv6, refused}, refused},
		{[]error{forbidden, noIPv6, refused, os.ErrDeadlineExceeded}, refused},
		{[]error{forbidden, noIPv6}, noIPv6},
		{[]error{forbidden}, forbidden},
	} {
		if got := bestError(t.Context(), test.errs); !errors.Is(got, test.want) {
			t.Errorf("%v: got %v, want %v", test.errs, got, test.want)
		}
	}
}
