// Package s3 reads the objects of buckets with the API of Amazon S3, such as
// those of AWS, MinIO or Ceph, as the files of a source that a sync follows:
//
//	tree, err := s3.Open(s3.DefaultConfig(), "s3://bucket/handbook")
//
// An object whose ETag is that of the last sync is not read again. What is read
// is what was listed: an object that was replaced meanwhile is [ingest.ErrChanged].
// Objects up to 4 MiB are read at once into memory; of larger ones only the
// parts that are asked for, each once, into a temporary file.
//
// A [Tree] is safe for concurrent use.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/needle-search/needle/ingest"
)

// The reasons for which a bucket cannot be read, for errors.Is.
var (
	// ErrAddress says that an address is not that of a bucket.
	ErrAddress = errors.New("it is no address of a bucket; want s3://BUCKET or s3://BUCKET/PREFIX")
	// ErrMissing says that there is no such bucket.
	ErrMissing = errors.New("there is no such bucket")
	// ErrDenied says that the server does not let us read.
	ErrDenied = errors.New("the server denies access")
)

// The values of [Config].PathStyle.
const (
	StyleAuto   = "auto"   // the name of the bucket is part of the host for AWS
	StyleAlways = "always" // http://host/bucket/key
	StyleNever  = "never"  // http://bucket.host/key
)

// Config sets up access. Credentials come from the environment
// (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), from the file of
// the AWS tools (AWS_SHARED_CREDENTIALS_FILE, AWS_PROFILE), or, on AWS, from the
// role of the machine.
type Config struct {
	// Endpoint is the server, "https://host" or "http://host:port"; empty means
	// AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or else AWS.
	Endpoint string `yaml:"endpoint"`
	// Region is that of the bucket; empty means AWS_REGION, AWS_DEFAULT_REGION, or
	// what the server says.
	Region string `yaml:"region"`
	// PathStyle is auto, always or never.
	PathStyle string `yaml:"path_style"`
	// Anonymous reads a public bucket without credentials.
	Anonymous bool `yaml:"anonymous"`
}

// DefaultConfig returns the defaults: AWS or what the environment names.
func DefaultConfig() Config { return Config{PathStyle: StyleAuto} }

// Validate checks the values. The error has one line for every fault, with the
// key, the value and what is allowed.
func (c Config) Validate() error {
	var faults []error
	if c.Endpoint != "" {
		if _, _, err := splitEndpoint(c.Endpoint); err != nil {
			faults = append(faults, fmt.Errorf("endpoint: %q; %w", c.Endpoint, err))
		}
	}
	switch c.PathStyle {
	case StyleAuto, StyleAlways, StyleNever:
	default:
		faults = append(faults, fmt.Errorf("path_style: %q; allowed are auto, always, never", c.PathStyle))
	}
	return errors.Join(faults...)
}

func splitEndpoint(endpoint string) (host string, secure bool, err error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" {
		return "", false, errors.New("allowed are https://HOST and http://HOST:PORT")
	}
	return u.Host, u.Scheme == "https", nil
}

// Tree is a bucket, or what has a prefix in it. Make one with [Open].
type Tree struct {
	client         *minio.Client
	bucket, prefix string // the prefix is empty or ends with a slash
}

var _ ingest.Tree = (*Tree)(nil)

// awsHost stands for AWS; the client finds the host of the region.
const awsHost = "s3.amazonaws.com"

// attempts is how often a request is sent, with growing pauses.
const attempts = 4

// Open opens an address, s3://BUCKET or s3://BUCKET/PREFIX, without any request.
// The error wraps [ErrAddress] if it is none.
func Open(config Config, address string) (*Tree, error) {
	bucket, prefix, err := splitAddress(address)
	if err != nil {
		return nil, err
	}
	host, secure := awsHost, true
	for _, endpoint := range []string{config.Endpoint, os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL")} {
		if endpoint != "" {
			if host, secure, err = splitEndpoint(endpoint); err != nil {
				return nil, fmt.Errorf("s3: endpoint %q: %w", endpoint, err)
			}
			break
		}
	}
	t := &Tree{bucket: bucket, prefix: prefix}
	options := &minio.Options{
		Secure: secure, MaxRetries: attempts,
		Region:       firstOf(config.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")),
		BucketLookup: map[string]minio.BucketLookupType{StyleAlways: minio.BucketLookupPath, StyleNever: minio.BucketLookupDNS}[config.PathStyle],
		Creds:        login(config.Anonymous, host == awsHost),
	}
	if t.client, err = minio.New(host, options); err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	return t, nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// login looks for credentials in the usual places. Only on AWS does it ask the
// machine for its role: elsewhere nobody would answer.
func login(anonymous, aws bool) *credentials.Credentials {
	if anonymous {
		return credentials.NewStatic("", "", "", credentials.SignatureAnonymous)
	}
	providers := []credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}}
	if aws {
		providers = append(providers, &credentials.IAM{})
	}
	return credentials.NewChainCredentials(providers)
}

func splitAddress(address string) (bucket, prefix string, err error) {
	rest, ok := strings.CutPrefix(address, "s3://")
	bucket, prefix, _ = strings.Cut(rest, "/")
	prefix = strings.TrimRight(prefix, "/")
	if !ok || bucket == "" || prefix != "" && !fs.ValidPath(prefix) {
		return "", "", fmt.Errorf("s3: %q: %w", address, ErrAddress)
	}
	if prefix != "" {
		prefix += "/"
	}
	return bucket, prefix, nil
}

// Address implements [ingest.Tree].
func (t *Tree) Address() string {
	return strings.TrimSuffix("s3://"+t.bucket+"/"+t.prefix, "/")
}

// Check implements [ingest.Tree]: it lists one object. The error wraps
// [ErrMissing] or [ErrDenied] where they apply.
func (t *Tree) Check(ctx context.Context) error {
	for object := range t.client.ListObjectsIter(ctx, t.bucket, minio.ListObjectsOptions{Prefix: t.prefix, Recursive: true, MaxKeys: 1}) {
		return t.explain(object.Err)
	}
	return ctx.Err()
}

// List implements [ingest.Tree].
func (t *Tree) List(ctx context.Context) iter.Seq2[ingest.TreeFile, error] {
	return func(yield func(ingest.TreeFile, error) bool) {
		for object := range t.client.ListObjectsIter(ctx, t.bucket, minio.ListObjectsOptions{Prefix: t.prefix, Recursive: true}) {
			if object.Err != nil {
				yield(ingest.TreeFile{}, t.explain(object.Err))
				return
			}
			name, ok := strings.CutPrefix(object.Key, t.prefix)
			if !ok || name == "" { // the prefix itself stands for an empty folder
				continue
			}
			file := ingest.TreeFile{Name: name, Size: object.Size, ModTime: object.LastModified, Version: object.ETag}
			if !yield(file, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(ingest.TreeFile{}, err)
		}
	}
}

// explain turns an answer of the server into what to do about it.
func (t *Tree) explain(err error) error {
	if err == nil {
		return nil
	}
	answer := minio.ToErrorResponse(err)
	switch answer.Code {
	case minio.NoSuchBucket, "InvalidBucketName":
		return fmt.Errorf("s3: bucket %q: %w", t.bucket, ErrMissing)
	case minio.AccessDenied, "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken":
		return fmt.Errorf("s3: bucket %q: %w (%s); check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that they may list and read the bucket", t.bucket, ErrDenied, answer.Code)
	case "":
		return fmt.Errorf("s3: %w", err)
	}
	return fmt.Errorf("s3: %s: %s", answer.Code, strings.TrimSpace(answer.Message))
}
