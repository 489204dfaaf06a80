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

package controllers_test

import (
	"os/exec"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
)

// Programs that read EndpointSlices know nothing of Farpoint. The specs in coredns_test.go and
// prometheus_test.go compare what the operator publishes with what such a program makes of it.

// startReader runs a program that build.sh has built until the spec ends.
func startReader(name string, arguments ...string) *gexec.Session {
	GinkgoHelper()
	program := filepath.Join(assets(), name)
	Expect(program).To(BeAnExistingFile(), "`make envtest` builds it")
	started, err := gexec.Start(exec.Command(program, arguments...), GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Eventually(started.Kill()).Should(gexec.Exit()) })
	return started
}
