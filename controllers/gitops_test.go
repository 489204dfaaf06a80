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
	"net/http"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	lua "github.com/yuin/gopher-lua"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// argoHealth returns the result of the script in config/argocd for an object, run as Argo CD runs
// it (its package util/lua): with the libraries base, table and string, the object as the global
// obj, and a table returned.
func argoHealth(object *unstructured.Unstructured) (current, message string) {
	GinkgoHelper()
	text, err := os.ReadFile("../config/argocd/argocd-cm.yaml")
	Expect(err).NotTo(HaveOccurred())
	var patch struct{ Data map[string]string }
	Expect(yaml.UnmarshalStrict(text, &patch)).To(Succeed())
	script, ok := patch.Data["resource.customizations.health.farpoint.dev_ExternalService"]
	Expect(ok).To(BeTrue())

	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.StringLibName: lua.OpenString} {
		Expect(state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name))).To(Succeed())
	}
	state.SetGlobal("obj", luaValue(state, object.Object))
	Expect(state.DoString(script)).To(Succeed())
	answer, ok := state.Get(-1).(*lua.LTable)
	Expect(ok).To(BeTrue())
	return answer.RawGetString("status").String(), answer.RawGetString("message").String()
}

func luaValue(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, item := range value {
			table.RawSetString(key, luaValue(state, item))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, item := range value {
			table.Append(luaValue(state, item))
		}
		return table
	case string:
		return lua.LString(value)
	case bool:
		return lua.LBool(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	}
	return lua.LNil
}

// rollout is what kstatus, and with it Flux, and Argo CD make of an object as it is now, as
// in "Current Healthy".
func rollout(ctx context.Context, object *farpointv1.ExternalService) func() string {
	return func() string {
		present := &unstructured.Unstructured{}
		present.SetGroupVersionKind(farpointv1.GroupVersion.WithKind("ExternalService"))
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(object), present)).To(Succeed())
		return rolloutOf(present)
	}
}

func rolloutOf(object *unstructured.Unstructured) string {
	GinkgoHelper()
	computed, err := status.Compute(object)
	Expect(err).NotTo(HaveOccurred())
	current, message := argoHealth(object)
	Expect(message).NotTo(BeEmpty())
	return computed.Status.String() + " " + current
}

var _ = Describe("a rollout by Flux or Argo CD", func() {
	It("waits for the operator, succeeds despite dead backends, and fails if only the author can fix the object", func(ctx SpecContext) {
		namespace, backend := newNamespace(ctx), newBackend()
		object := externalService(namespace, "db", backend.url())
		create(ctx, object)
		Expect(rollout(ctx, object)()).To(Equal("InProgress Progressing"), "no operator has seen it")
		startOperator(adminConfig)

		By("something that may come by itself")
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("False ServiceNotFound"))
		Expect(rollout(ctx, object)()).To(Equal("InProgress Progressing"))
		create(ctx, service(namespace, "db"))
		Eventually(rollout(ctx, object)).Should(Equal("Current Healthy"))

		By("a dead backend")
		backend.status.Store(http.StatusServiceUnavailable)
		Eventually(condition(ctx, object, farpointv1.AvailableCondition)).Should(Equal("False NoEndpointsReady"))
		Expect(rollout(ctx, object)()).To(Equal("Current Healthy"))

		By("a mistake")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.HealthCheck.HTTP = &farpointv1.HTTPHealthCheck{ExpectedBody: "("}
		})
		Eventually(rollout(ctx, object)).Should(Equal("Failed Degraded"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.HealthCheck.HTTP = nil })
		Eventually(rollout(ctx, object)).Should(Equal("Current Healthy"))

		By("a Secret that is missing")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.HealthCheck.HTTP = &farpointv1.HTTPHealthCheck{FollowRedirects: true}
			spec.HealthCheck.TLS = &farpointv1.TLSHealthCheck{CASecretRef: &farpointv1.KeyReference{Name: "ca"}}
		})
		Eventually(rollout(ctx, object)).Should(Equal("InProgress Progressing"))

		By("a suspension")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.HealthCheck.HTTP, spec.HealthCheck.TLS, spec.Suspend = nil, nil, true
		})
		Eventually(rollout(ctx, object)).Should(Equal("Current Suspended"))
	})

	It("is what a patch of Argo CD's ConfigMap brings about", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "argocd-cm"}, Data: map[string]string{"url": "https://argocd.example.com"}})
		kubectl(ctx, "", "patch", "configmap", "argocd-cm", "--namespace", namespace, "--patch-file", "../config/argocd/argocd-cm.yaml")
		patched := &corev1.ConfigMap{}
		Expect(k8s.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "argocd-cm"}, patched)).To(Succeed())
		Expect(patched.Data).To(And(HaveLen(2), HaveKey("url")))
	})

	DescribeTable("reads no more into a status than it says",
		func(want string, generation, observed int64, conditions ...metav1.Condition) {
			object := &farpointv1.ExternalService{ObjectMeta: metav1.ObjectMeta{Name: "db", Generation: generation}}
			object.Status.ObservedGeneration, object.Status.Conditions = observed, conditions
			Expect(rolloutOf(toUnstructured(object))).To(Equal(want))
		},
		Entry("published", "Current Healthy", int64(2), int64(2), stated("Ready", metav1.ConditionTrue, 2), stated("Available", metav1.ConditionTrue, 2)),
		Entry("it is not known yet whether it is available", "Current Healthy", int64(2), int64(2), stated("Ready", metav1.ConditionTrue, 2), stated("Available", metav1.ConditionUnknown, 2)),
		Entry("of an older spec", "InProgress Progressing", int64(3), int64(2), stated("Ready", metav1.ConditionTrue, 2)),
		Entry("stalled, by an older spec", "InProgress Progressing", int64(3), int64(2), stated("Ready", metav1.ConditionFalse, 2), stated("Stalled", metav1.ConditionTrue, 2)),
		Entry("stalled", "Failed Degraded", int64(2), int64(2), stated("Ready", metav1.ConditionFalse, 2), stated("Stalled", metav1.ConditionTrue, 2)),
		Entry("reconciling", "InProgress Progressing", int64(2), int64(2), stated("Ready", metav1.ConditionFalse, 2), stated("Reconciling", metav1.ConditionTrue, 2)),
		Entry("a write was refused", "InProgress Progressing", int64(3), int64(2), stated("Ready", metav1.ConditionFalse, 3), stated("Reconciling", metav1.ConditionTrue, 3)),
	)
})

func stated(kind string, value metav1.ConditionStatus, generation int64) metav1.Condition {
	return metav1.Condition{Type: kind, Status: value, Reason: "Reason", Message: "message", ObservedGeneration: generation}
}

func toUnstructured(object *farpointv1.ExternalService) *unstructured.Unstructured {
	GinkgoHelper()
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	Expect(err).NotTo(HaveOccurred())
	return &unstructured.Unstructured{Object: fields}
}
