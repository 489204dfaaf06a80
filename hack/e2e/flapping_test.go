//go:build linux && e2e

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

package e2e_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"farpoint.dev/farpoint/hack/e2e"
)

// One failed check in two is no death: the verdict stands, and nobody writes.
func TestFlapping(t *testing.T) {
	t.Parallel()
	play(t, "every other health check fails", 2, quick, func(s *scenario) {
		s.declare(s.endpoints())
		s.sendFromPod()
		s.begin()
		_, err := s.hosts[0].Behave(e2e.Behaviour{FailEvery: 2})
		s.Expect(err).NotTo(HaveOccurred())
		time.Sleep(8 * time.Second)
		s.finish()
		s.Expect(s.row.Failures).To(BeZero())
		s.Expect(s.row.SliceWrites).To(BeZero())
	})
}
