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
	"context"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers"
)

var (
	// adminConfig may do everything.
	adminConfig *rest.Config
	// k8s reads and writes as a user would, past all caches.
	k8s client.Client
	// logged is all that operators have logged.
	logged = gbytes.NewBuffer()
)

// The log is set before any test runs: controller-runtime discards everything that is logged,
// also later, once it has been without one for 30 seconds.
//
// Of several processes of ginkgo each would run all that is no spec, too: `go test` does that.
func TestMain(m *testing.M) {
	flag.Parse()
	if suite, _ := GinkgoConfiguration(); suite.ParallelTotal > 1 {
		if err := flag.Set("test.run", "^TestControllers$"); err != nil {
			panic(err)
		}
	}
	ctrl.SetLogger(zap.New(zap.WriteTo(io.MultiWriter(GinkgoWriter, logged)), zap.UseDevMode(true)))
	os.Exit(m.Run())
}

func TestControllers(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(20 * time.Second)
	// Each look at the API server costs two milliseconds of CPU time with the race detector.
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "Controllers")
}

var _ = BeforeSuite(func() {
	env := &envtest.Environment{
		CRDDirectoryPaths:     []string{"../config/crd/bases"},
		ErrorIfCRDPathMissing: true,
	}
	// Otherwise it looks for a default route, which a machine without a network lacks.
	env.ControlPlane.GetAPIServer().Configure().Set("advertise-address", "192.0.2.1")
	DeferCleanup(env.Stop) // also of a control plane that started, but refused the CRD
	var err error
	adminConfig, err = env.Start()
	Expect(err).NotTo(HaveOccurred(), "start the control plane; `make test` builds it and sets KUBEBUILDER_ASSETS")
	adminConfig.QPS = -1 // the tests ask more often than a client should

	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(farpointv1.AddToScheme(scheme)).To(Succeed())
	Expect(gatewayv1.Install(scheme)).To(Succeed())
	Expect(gatewayv1beta1.Install(scheme)).To(Succeed())
	Expect(apiextensionsv1.AddToScheme(scheme)).To(Succeed())
	user := rest.CopyConfig(adminConfig)
	user.WarningHandlerWithContext = rest.NoWarnings{} // what is logged is the operator's
	k8s, err = client.New(user, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
})

// operator is a running manager and what it writes.
type operator struct {
	stop func()
	// writes counts its requests that are not reads, reads those that are, without watches.
	writes, reads atomic.Int64
}

// startOperator runs the operator until the spec ends or it is stopped.
func startOperator(config *rest.Config, change ...func(*controllers.Options)) *operator {
	GinkgoHelper()
	started := &operator{}
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			switch {
			case request.Method != http.MethodGet:
				started.writes.Add(1)
			case request.URL.Query().Get("watch") == "":
				started.reads.Add(1)
			}
			return next.RoundTrip(request)
		})
	})
	options := controllers.NewOptions()
	options.MetricsBindAddress, options.HealthBindAddress = "0", "0"
	options.Egress.AllowLoopbackProbes = true
	for _, configure := range change {
		configure(&options)
	}
	manager, err := controllers.NewManager(config, options)
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- manager.Start(ctx) }()
	stopped := false
	started.stop = func() {
		GinkgoHelper()
		if stopped {
			return
		}
		stopped = true
		cancel()
		Eventually(done).Should(Receive(BeNil()))
	}
	DeferCleanup(started.stop)
	return started
}

// readingReferencesOften makes rotated Secrets be used soon.
func readingReferencesOften(options *controllers.Options) { options.ReferencesInterval = time.Second }

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

// newNamespace creates a namespace for one spec. Its objects are deleted at the end of the spec,
// so that the operator of the next one finds nothing to do.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "spec-"}}
	Expect(k8s.Create(ctx, namespace)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) {
		for _, kind := range []client.Object{&farpointv1.ExternalService{}, &discoveryv1.EndpointSlice{}, &corev1.Endpoints{}, &corev1.Service{}} {
			Expect(k8s.DeleteAllOf(ctx, kind, client.InNamespace(namespace.Name))).To(Succeed())
		}
		Eventually(func() []discoveryv1.EndpointSlice {
			list := &discoveryv1.EndpointSliceList{}
			Expect(k8s.List(ctx, list, client.InNamespace(namespace.Name))).To(Succeed())
			return list.Items
		}).Should(BeEmpty())
	})
	return namespace.Name
}

// backend is an HTTP server that is healthy until it is set otherwise.
type backend struct {
	*httptest.Server
	status atomic.Int32
	probes atomic.Int64
}

func newBackend() *backend {
	b := &backend{}
	b.status.Store(http.StatusOK)
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		b.probes.Add(1)
		w.WriteHeader(int(b.status.Load()))
	}))
	DeferCleanup(b.Close)
	return b
}

// newTLSBackend is a backend over TLS whose certificate is for example.com.
func newTLSBackend() *backend {
	b := &backend{}
	b.status.Store(http.StatusOK)
	b.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		b.probes.Add(1)
		w.WriteHeader(int(b.status.Load()))
	}))
	DeferCleanup(b.Close)
	return b
}

// authority is what a probe has to trust.
func (b *backend) authority() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.Certificate().Raw}))
}

func (b *backend) url() farpointv1.HealthCheckURL {
	return farpointv1.HealthCheckURL(b.URL + "/health")
}

// externalService is one with an endpoint 192.0.2.10, 192.0.2.11 and so on for each URL.
func externalService(namespace, name string, urls ...farpointv1.HealthCheckURL) *farpointv1.ExternalService {
	object := &farpointv1.ExternalService{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: farpointv1.ExternalServiceSpec{
			HealthCheckInterval: &metav1.Duration{Duration: 500 * time.Millisecond},
			HealthCheck: farpointv1.HealthCheck{
				FastInterval: &metav1.Duration{Duration: 100 * time.Millisecond},
			},
		},
	}
	for i, url := range urls {
		object.Spec.Endpoints = append(object.Spec.Endpoints, farpointv1.Endpoint{
			Address: fmt.Sprintf("192.0.2.%d", 10+i), Port: new(int32(8080)), HealthCheckURL: url,
		})
	}
	return object
}

// forbiddenURL leads to an address that no probe may connect to, which the API server does not
// know.
const forbiddenURL farpointv1.HealthCheckURL = "http://169.254.169.254/"

// service is one without a selector and with one port named http.
func service(namespace, name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}
}

func create(ctx context.Context, objects ...client.Object) {
	GinkgoHelper()
	for _, object := range objects {
		Expect(k8s.Create(ctx, object)).To(Succeed())
	}
}

// now reads the present state of an object.
func now(ctx context.Context, object *farpointv1.ExternalService) *farpointv1.ExternalService {
	GinkgoHelper()
	present := &farpointv1.ExternalService{}
	Expect(k8s.Get(ctx, client.ObjectKeyFromObject(object), present)).To(Succeed())
	return present
}

// edit changes the spec of an object as it is now.
func edit(ctx context.Context, object *farpointv1.ExternalService, change func(*farpointv1.ExternalServiceSpec)) {
	GinkgoHelper()
	Eventually(func() error {
		present := now(ctx, object)
		change(&present.Spec)
		return k8s.Update(ctx, present)
	}).Should(Succeed())
}

// column is what kubectl get shows of the endpoints.
func column(ctx context.Context, object *farpointv1.ExternalService) func() string {
	return func() string { return now(ctx, object).Status.ReadyEndpoints }
}

// condition is the status and reason of a condition, as in "True Resolved".
func condition(ctx context.Context, object *farpointv1.ExternalService, kind string) func() string {
	return func() string {
		c := meta.FindStatusCondition(now(ctx, object).Status.Conditions, kind)
		if c == nil {
			return ""
		}
		return string(c.Status) + " " + c.Reason
	}
}

// message is that of a condition.
func message(ctx context.Context, object *farpointv1.ExternalService, kind string) string {
	GinkgoHelper()
	c := meta.FindStatusCondition(now(ctx, object).Status.Conditions, kind)
	Expect(c).NotTo(BeNil())
	return c.Message
}

// slicesFor lists the slices of a Service.
func slicesFor(ctx context.Context, namespace, service string) []discoveryv1.EndpointSlice {
	GinkgoHelper()
	list := &discoveryv1.EndpointSliceList{}
	Expect(k8s.List(ctx, list, client.InNamespace(namespace), client.MatchingLabels{discoveryv1.LabelServiceName: service})).To(Succeed())
	return list.Items
}

// conditions maps the addresses of a Service's endpoints to their conditions ready,
// serving and terminating, as in "TTF".
func conditions(ctx context.Context, namespace, service string) func() map[string]string {
	return func() map[string]string {
		byAddress := map[string]string{}
		for _, slice := range slicesFor(ctx, namespace, service) {
			for _, endpoint := range slice.Endpoints {
				c := endpoint.Conditions
				byAddress[endpoint.Addresses[0]] = letter(c.Ready) + letter(c.Serving) + letter(c.Terminating)
			}
		}
		return byAddress
	}
}

func letter(value *bool) string {
	switch {
	case value == nil:
		return "-"
	case *value:
		return "T"
	default:
		return "F"
	}
}
