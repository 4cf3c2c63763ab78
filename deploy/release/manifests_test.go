package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// manifests decodes the Kubernetes file as strictly as an API server with strict
// field validation does: unknown and repeated fields and wrong types are errors.
func manifests(t *testing.T, data []byte) []runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, policyv1.AddToScheme, autoscalingv2.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	var all []runtime.Object
	for reader := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(data))); ; {
		document := make([]byte, len(data))
		n, err := reader.Read(document)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		object, _, err := decoder.Decode(document[:n], nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, document[:n])
		}
		all = append(all, object)
	}
}

func TestKubernetes(t *testing.T) {
	data, err := os.ReadFile("../kubernetes/needle.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var deployment *appsv1.Deployment
	var service *corev1.Service
	var config *corev1.ConfigMap
	var budget *policyv1.PodDisruptionBudget
	var scaler *autoscalingv2.HorizontalPodAutoscaler
	for _, object := range manifests(t, data) {
		switch o := object.(type) {
		case *appsv1.Deployment:
			deployment = o
		case *corev1.Service:
			service = o
		case *corev1.ConfigMap:
			config = o
		case *policyv1.PodDisruptionBudget:
			budget = o
		case *autoscalingv2.HorizontalPodAutoscaler:
			scaler = o
		}
	}
	if deployment == nil || service == nil || config == nil || budget == nil || scaler == nil {
		t.Fatal("a part is missing")
	}
	pod := deployment.Spec.Template
	selects := func(what string, s *metav1.LabelSelector) {
		selector, err := metav1.LabelSelectorAsSelector(s)
		if err != nil || selector.Empty() || !selector.Matches(labels.Set(pod.Labels)) {
			t.Errorf("the selector of %s, %v, does not find the pods (%v)", what, s, err)
		}
	}
	selects("the deployment", deployment.Spec.Selector)
	selects("the service", &metav1.LabelSelector{MatchLabels: service.Spec.Selector})
	selects("the disruption budget", budget.Spec.Selector)
	if target := scaler.Spec.ScaleTargetRef; target.Kind != "Deployment" || target.Name != deployment.Name {
		t.Errorf("the autoscaler is about %+v", target)
	}
	if len(pod.Spec.Containers) != 1 {
		t.Fatalf("there are %d containers", len(pod.Spec.Containers))
	}
	container := pod.Spec.Containers[0]
	port := func(name string) int32 {
		i := slices.IndexFunc(container.Ports, func(p corev1.ContainerPort) bool { return p.Name == name })
		if i < 0 {
			t.Errorf("the container has no port %q", name)
			return 0
		}
		return container.Ports[i].ContainerPort
	}
	for _, p := range service.Spec.Ports {
		port(p.TargetPort.StrVal)
	}
	for name, probe := range map[string]*corev1.Probe{"startup": container.StartupProbe, "readiness": container.ReadinessProbe, "liveness": container.LivenessProbe} {
		if probe == nil || probe.HTTPGet == nil {
			t.Errorf("there is no %s probe", name)
			continue
		}
		port(probe.HTTPGet.Port.StrVal)
	}
	if container.LivenessProbe.HTTPGet.Path != "/healthz" || container.ReadinessProbe.HTTPGet.Path != "/readyz" {
		t.Error("a server that warms up must not be killed: liveness is /healthz, readiness /readyz")
	}
	for _, mount := range container.VolumeMounts {
		if !slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name }) {
			t.Errorf("there is no volume %q", mount.Name)
		}
	}
	for _, resource := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		request, limit := container.Resources.Requests[resource], container.Resources.Limits[resource]
		if request.IsZero() || limit.Cmp(request) < 0 {
			t.Errorf("%s: a request of %v and a limit of %v", resource, request.String(), limit.String())
		}
	}
	if s := container.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation {
		t.Error("the container may write to its image, or gain rights")
	}
	// Serving ends within 30 s of the signal, which comes after the pause.
	if grace := *pod.Spec.TerminationGracePeriodSeconds; grace < 30+container.Lifecycle.PreStop.Sleep.Seconds {
		t.Errorf("the grace period is %d s", grace)
	}
	if text := config.Data["needle.yaml"]; !strings.Contains(text, "required: true") {
		t.Errorf("the configuration lets everybody in:\n%s", text)
	}
}

// TestKubernetesCheckCanFail: a misspelt field is found.
func TestKubernetesCheckCanFail(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := appsv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	for name, text := range map[string]string{
		"misspelt": "{apiVersion: apps/v1, kind: Deployment, spec: {replica: 2}}",
		"type":     "{apiVersion: apps/v1, kind: Deployment, spec: {replicas: many}}",
		"twice":    "apiVersion: apps/v1\nkind: Deployment\nspec: {}\nspec: {}\n",
	} {
		if _, _, err := decoder.Decode([]byte(text), nil, nil); err == nil {
			t.Errorf("%s: it is accepted", name)
		}
	}
}

func TestCompose(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{filepath.Join("..", "docker-compose.yaml")}, cli.WithDiscardEnvFile, cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	// Held against the schema of the Compose specification, references included.
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(project.Services) != 4 {
		t.Errorf("there are %d services, want 4", len(project.Services))
	}
	for name, service := range project.Services {
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes port %d beyond loopback", name, port.Target)
			}
		}
		for _, volume := range service.Volumes {
			if volume.Type != "bind" {
				continue
			}
			if _, err := os.Stat(volume.Source); err != nil {
				t.Errorf("%s mounts what is not there: %v", name, err)
			}
		}
	}
	broken := filepath.Join(t.TempDir(), "compose.yaml")
	if err := os.WriteFile(broken, []byte("services: {a: {image: x, portz: ['1:1']}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if options, err = cli.NewProjectOptions([]string{broken}, cli.WithDiscardEnvFile); err != nil {
		t.Fatal(err)
	}
	if _, err := options.LoadProject(t.Context()); err == nil {
		t.Error("a misspelt key is accepted, so this test shows nothing")
	}
}
