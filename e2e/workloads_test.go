package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("workload", func() {
	It("causes a warning, and its pods are denied until its image is fixed", Label(devCluster), func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		Expect(kubectl(ctx, "create", "deployment", "web", "--image=nginx:latest", "-n", namespace)).To(Equal(result{
			Stdout: "deployment.apps/web created\n",
			Stderr: warningOfWorkload(`container "nginx" (spec.template.spec.containers[0].image)`),
		}))
		Eventually(func() string {
			return field(ctx, namespace, "deployment/web", `.status.conditions[?(@.type=="ReplicaFailure")].message`)
		}).WithContext(ctx).Should(ContainSubstring(
			denialBy() + `container "nginx" (spec.containers[0].image) uses image "nginx:latest" (mirrored to `))
		Expect(succeed(ctx, "get", "pods", "-n", namespace, "-o", "name")).To(BeEmpty())
		Expect(kubectl(ctx, "scale", "deployment/web", "--replicas=2", "-n", namespace).Stderr).To(BeEmpty(), "the image is unchanged")
		Expect(kubectl(ctx, "label", "deployment/web", "tier=front", "-n", namespace).Stderr).To(BeEmpty(), "the image is unchanged")

		// The API server defaulted its pull policy to Always because its tag was latest.
		succeed(ctx, "patch", "deployment/web", "-n", namespace, "-p", `{"spec":{"template":{"spec":{"containers":[{"name":"nginx","imagePullPolicy":"IfNotPresent"}]}}}}`)
		Expect(kubectl(ctx, "set", "image", "deployment/web", "nginx=nginx:1.25", "-n", namespace)).To(Equal(result{Stdout: "deployment.apps/web image updated\n"}))
		succeed(ctx, "rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")
		Expect(field(ctx, namespace, "deployment/web", ".spec.template.spec.containers[0].image")).To(Equal("nginx:1.25"), "a workload is never changed")
		Expect(field(ctx, namespace, "pods", ".items[*].spec.containers[0].image")).To(HavePrefix("docker.mirror.example/library/nginx:1.25"))
	})

	It("causes no warning if a controller owns it, because its owner causes one", func(ctx SpecContext) {
		const owned = `{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"shop","ownerReferences":[
			{"apiVersion":"apps/v1","kind":"Deployment","name":"shop","uid":"4f2a","controller":true}]},
			"spec":{"selector":{"matchLabels":{"app":"shop"}},"template":{"metadata":{"labels":{"app":"shop"}},
			"spec":{"containers":[{"name":"app","image":"nginx:latest"}]}}}}`
		Expect(kubectlWith(ctx, owned, "create", "--dry-run=server", "-f", "-", "-n", dryRuns)).
			To(Equal(result{Stdout: "replicaset.apps/shop created (server dry run)\n"}))
	})

	DescribeTable("causes a warning, and is never denied or changed:",
		func(ctx SpecContext, file, created, path string) {
			create := []string{"create", "--dry-run=server", "-f", "testdata/" + file, "-n", dryRuns}
			Expect(kubectl(ctx, create...)).To(Equal(result{
				Stdout: created + " created (server dry run)\n",
				Stderr: warningOfWorkload(`container "app" (` + path + `.containers[0].image)`),
			}))
			Expect(succeed(ctx, append(create, "-o", "yaml")...)).
				To(And(ContainSubstring("image: nginx:latest"), ContainSubstring("image: busybox:1.36")))
		},
		Entry("Deployment", "deployment.yaml", "deployment.apps/shop", "spec.template.spec"),
		Entry("StatefulSet", "statefulset.yaml", "statefulset.apps/shop", "spec.template.spec"),
		Entry("DaemonSet", "daemonset.yaml", "daemonset.apps/shop", "spec.template.spec"),
		Entry("ReplicaSet", "replicaset.yaml", "replicaset.apps/shop", "spec.template.spec"),
		Entry("Job", "job.yaml", "job.batch/shop", "spec.template.spec"),
		Entry("CronJob", "cronjob.yaml", "cronjob.batch/shop", "spec.jobTemplate.spec.template.spec"),
		Entry("ReplicationController", "replicationcontroller.yaml", "replicationcontroller/shop", "spec.template.spec"),
		Entry("PodTemplate", "podtemplate.yaml", "podtemplate/shop", "template.spec"),
	)
})
