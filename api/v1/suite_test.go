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

package v1_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// k8s speaks to an API server that has the CRD installed.
var k8s client.Client

func TestAPI(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "API")
}

var _ = BeforeSuite(func() {
	env := &envtest.Environment{
		CRDDirectoryPaths:     []string{"../../config/crd/bases"},
		ErrorIfCRDPathMissing: true,
	}
	// Otherwise it looks for a default route, which a machine without a network lacks.
	env.ControlPlane.GetAPIServer().Configure().Set("advertise-address", "192.0.2.1")
	DeferCleanup(env.Stop) // even if the control plane started and refused the CRD
	config, err := env.Start()
	Expect(err).NotTo(HaveOccurred(), "start the control plane; `make test` builds it and sets KUBEBUILDER_ASSETS")

	scheme := runtime.NewScheme()
	Expect(farpointv1.AddToScheme(scheme)).To(Succeed())
	k8s, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
})
