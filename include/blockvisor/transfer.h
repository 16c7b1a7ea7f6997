/**
 * @file blockvisor/transfer.h
 * Moving a directory to and from a store, as a snapshot or as an archive.
 *
 * A transfer is an operation: it starts, reports progress, and ends by calling @ref
 * bv_transfer_done_fn exactly once, from dispatch and never from inside the call that started it.
 * It survives the end of the program: finished chunks are remembered in its state directory and are
 * not moved again when the same transfer is started once more. Cancelling keeps that state.
 *
 * A store is "dir:/path" (a directory, also on a network file system), "http://..." or
 * "https://..." (a web server that answers GET and, for uploads, PUT), or "s3://bucket/prefix" (see
 * below). Below it versions lie under their key; a version is complete or invisible, and never
 * changes.
 *
 * There are two formats. A *snapshot* (doc/snapshot-format.md) has everything of a directory:
 * modes, owners, times, links, holes; versions share what did not change, so that only changes are
 * sent and fetched; it can be signed. An *archive* is the older format: regular files, each version
 * whole. Both may lie under one key.
 *
 * The URI of an S3 store may have parameters, as in "s3://bucket/prefix?region=eu-west-1":
 * "region", "endpoint" (http://HOST:PORT of another service than Amazon's), "style" ("path" or
 * "host"), "ca" (a file of certificates to trust), "credentials" (a file of profiles) and "profile"
 * (one of them). Missing ones are taken from AWS_REGION, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3,
 * AWS_ENDPOINT_URL, AWS_CA_BUNDLE, AWS_SHARED_CREDENTIALS_FILE and AWS_PROFILE. Keys are never in
 * the URI: unless it names a file or a profile, they are AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
 * and AWS_SESSION_TOKEN, or else those of the default profile in ~/.aws/credentials.
 */
#ifndef BLOCKVISOR_TRANSFER_H
#define BLOCKVISOR_TRANSFER_H

#include <blockvisor/ctx.h>
#include <blockvisor/op.h>

BV_BEGIN_DECLS

/** Chunks that are fetched or put at the same time, unless options say otherwise. */
#define BV_TRANSFER_CONNECTIONS_DEFAULT 3u
/** Chunks that are worked on at the same time, unless options say otherwise. */
#define BV_TRANSFER_RUNNERS_DEFAULT 8u
/** Most of either. */
#define BV_TRANSFER_RUNNERS_MAX 64u
/** Memory for buffers and codecs of one transfer, unless options say otherwise. */
#define BV_TRANSFER_MEMORY_MIB_DEFAULT 128u
/** Level of zstd for uploads, unless options say otherwise. */
#define BV_TRANSFER_ZSTD_LEVEL_DEFAULT 3

/** How long a transfer waits for room on a full disk, unless options say otherwise. */
#define BV_TRANSFER_SPACE_WAIT_SECS_DEFAULT 600
/** For space_wait_secs: until there is room, however long that takes. */
#define BV_TRANSFER_SPACE_WAIT_FOREVER INT32_MAX
/** For space_wait_secs: a full disk is an error at once. */
#define BV_TRANSFER_SPACE_WAIT_NONE (-1)

/** Memory of all transfers of a context together, unless limits say otherwise. */
#define BV_TRANSFER_LIMIT_MEMORY_MIB_DEFAULT 1024u
/** Connections of all transfers of a context together, unless limits say otherwise. */
#define BV_TRANSFER_LIMIT_CONNECTIONS_DEFAULT 64u
/** Files that all transfers of a context have open together, unless limits say otherwise. */
#define BV_TRANSFER_LIMIT_FILES_DEFAULT 512u

/** What all transfers of a context may have together. Options of one transfer lower its part. */
typedef struct bv_transfer_limits {
    size_t size;                   /**< sizeof(bv_transfer_limits); lets the struct grow. */
    uint32_t memory_mib;           /**< 0: BV_TRANSFER_LIMIT_MEMORY_MIB_DEFAULT. */
    uint32_t connections;          /**< 0: BV_TRANSFER_LIMIT_CONNECTIONS_DEFAULT. */
    uint32_t open_files;           /**< 0: BV_TRANSFER_LIMIT_FILES_DEFAULT. */
    uint64_t download_bytes_per_s; /**< From the network; 0: no limit. */
    uint64_t upload_bytes_per_s;   /**< To the network; 0: no limit. */
} bv_transfer_limits;

#define BV_TRANSFER_LIMITS_INIT                                                                    \
    {                                                                                              \
        .size = sizeof(bv_transfer_limits)                                                         \
    }

/** What all transfers of a context have and did. */
typedef struct bv_transfer_use {
    size_t size;           /**< sizeof(bv_transfer_use). */
    uint64_t memory_bytes; /**< Given out now. */
    uint32_t connections;  /**< Likewise. */
    uint32_t open_files;   /**< Likewise. */
    uint32_t waiting;      /**< Workers and requests that wait for memory, files or connections. */
    uint32_t throttled;    /**< Connections that wait for bandwidth. */
    uint64_t downloaded_bytes; /**< From the network since the context was made. */
    uint64_t uploaded_bytes;   /**< To the network since then. */
} bv_transfer_use;

/**
 * Sets what all transfers of a context may have together, those under way included. Raised limits
 * help at once; lowered ones take nothing back, but nothing more is given out until enough is free.
 *
 * @param limits  Copied. Missing fields of a smaller struct count as 0.
 * @return 0, BV_E_INVALID, BV_E_NOMEM (nothing was changed).
 * @since 0.1
 */
BV_API int bv_ctx_set_transfer_limits(bv_ctx *ctx, const bv_transfer_limits *limits,
                                      bv_error **err);

/**
 * The limits in force, defaults filled in.
 *
 * @param ret_limits  Its size says how much of it is wanted.
 * @since 0.1
 */
BV_API void bv_ctx_transfer_limits(const bv_ctx *ctx, bv_transfer_limits *ret_limits);

/**
 * What is in use now, and how much was moved so far.
 *
 * @param ret_use  Its size says how much of it is wanted.
 * @since 0.1
 */
BV_API void bv_ctx_transfer_use(const bv_ctx *ctx, bv_transfer_use *ret_use);

/** The form in which a version lies in a store. Values are never reused. */
typedef enum bv_format {
    BV_FORMAT_ANY = 0, /**< Whatever the version is; for uploads: an archive. */
    BV_FORMAT_ARCHIVE = 1,
    BV_FORMAT_SNAPSHOT = 2
} bv_format;

/** How chunks are compressed. Values are never reused. */
typedef enum bv_codec {
    BV_CODEC_DEFAULT = 0, /**< zstd. */
    BV_CODEC_STORED = 1,  /**< Not at all. */
    BV_CODEC_ZSTD = 2,
    BV_CODEC_LZ4 = 3 /**< Snapshots only: faster and larger. */
} bv_codec;

/** Keys for an S3 store, in place of those from the environment or from files. */
typedef struct bv_s3_keys {
    size_t size; /**< sizeof(bv_s3_keys); lets the struct grow. All strings are copied. */
    const char *access_key;
    const char *secret_key;
    const char *session_token; /**< NULL: none. */
} bv_s3_keys;

#define BV_S3_KEYS_INIT                                                                            \
    {                                                                                              \
        .size = sizeof(bv_s3_keys)                                                                 \
    }

/** How a transfer stands, or how it ended. Valid during the call only. */
typedef struct bv_transfer_status {
    size_t size;
    const char *phase; /**< "open", "describe", "scan", "transfer", "no-space", "verify", "publish"
                          or "done". */
    uint64_t data_version; /**< 0: not known yet. */
    uint64_t bytes_done;   /**< Plain bytes, those of earlier runs included. */
    uint64_t bytes_total;  /**< 0: not known yet. */
    uint64_t stored_done;  /**< Bytes as stored that this run moved. */
    uint32_t chunks_done;
    uint32_t chunks_total;
    uint64_t files;   /**< Files of the archive; 0: not known yet. */
    uint64_t skipped; /**< Uploads: symbolic links and special files that an archive cannot hold. */
    uint32_t retries; /**< Attempts beyond the first, of all chunks. */
    uint32_t resumed_chunks; /**< Of chunks_done: finished by earlier runs. */
    uint64_t bytes_per_s;    /**< Recent rate of plain bytes. */
    int64_t eta_ms;          /**< -1: not known. */
    const char *full_path;   /**< In phase "no-space": whose file system has no room; else NULL. */
    uint64_t missing_bytes;  /**< In phase "no-space": about how many bytes it lacks. */
    int32_t format;          /**< A bv_format; BV_FORMAT_ANY: not known yet. */
    uint64_t wire_bytes;     /**< Bytes over the network since it began, what had to be repeated
                                included; those of other transfers of the context as well. */
    uint64_t reused_bytes;   /**< Snapshots: plain bytes that did not have to be moved, because they
                                were there already. */
} bv_transfer_status;

/** Called at most ten times a second, from dispatch. */
typedef void (*bv_transfer_status_fn)(bv_op *op, const bv_transfer_status *status, void *data);

/** Called once. @p err is NULL on success; both are valid during the call only. */
typedef void (*bv_transfer_done_fn)(bv_op *op, const bv_error *err,
                                    const bv_transfer_status *status, void *data);

typedef struct bv_download_opts {
    size_t size; /**< sizeof(bv_download_opts); lets the struct grow. All strings are copied. */
    const char *store;        /**< The store's URI. */
    const char *key;          /**< The archive's key in it. */
    uint64_t data_version;    /**< 0: the latest, or the one an interrupted download began with. */
    const char *dest_dir;     /**< Made when missing. */
    const char *state_dir;    /**< NULL: "<dest_dir>.transfer". Made when missing. */
    uint32_t max_connections; /**< 0: BV_TRANSFER_CONNECTIONS_DEFAULT. */
    uint32_t max_runners;     /**< 0: BV_TRANSFER_RUNNERS_DEFAULT. */
    uint32_t memory_mib;      /**< 0: BV_TRANSFER_MEMORY_MIB_DEFAULT. */
    uint64_t bytes_per_s;     /**< Limit for the network; 0: none. */
    bv_transfer_status_fn status; /**< Optional. */
    void *data;                   /**< Last argument of every callback. */
    int32_t space_wait_secs;      /**< How long it waits for room on a full disk; 0:
                                       BV_TRANSFER_SPACE_WAIT_SECS_DEFAULT. */
    const bv_s3_keys *s3_keys;    /**< NULL: as the store's URI says. */
    int32_t format;               /**< A bv_format; versions of another one do not exist then. */
    /* The rest is for snapshots; with an archive it is refused (BV_E_UNSUPPORTED). */
    const char *const *mirrors;  /**< Further stores with the same content to read from,
                                    NULL-terminated; NULL: none. */
    const char *const *include;  /**< Patterns of paths to fetch, NULL-terminated; NULL: all. */
    const char *const *protect;  /**< Patterns of paths that are never written or removed, besides
                                    those that always are: keys and the state of signers. One of
                                    these behind a '!' is taken out. */
    const char *const *seeds;    /**< Directories of this host whose files may be reused. */
    const char *verify_key_file; /**< PEM: refuse what this Ed25519 key did not sign. */
    int32_t delete_extra;        /**< Not 0: remove what the snapshot does not have. */
    int32_t recheck;             /**< Not 0: read all that is there, and mend what is wrong. */
    int32_t no_owner;            /**< Not 0: leave owners as they come. Only root can set them. */
    int32_t xattrs;              /**< Not 0: restore extended attributes. */
} bv_download_opts;

#define BV_DOWNLOAD_OPTS_INIT                                                                      \
    {                                                                                              \
        .size = sizeof(bv_download_opts)                                                           \
    }

/**
 * Fetches one version of an archive into a directory. Files that are in the way are overwritten,
 * other files are left alone; nothing is written outside the directory.
 *
 * @param opts    Copied; may be freed at once.
 * @param done    Errors worth handling: BV_E_NOT_FOUND (no such archive or version), BV_E_BUSY (a
 * transfer with this state directory is running), BV_E_CHECKSUM (stored data is damaged),
 * BV_E_FORMAT (the manifest is refused), BV_E_DENIED, BV_E_CANCELLED; bv_error_errno() is ENOSPC
 * when the disk is or would be full.
 * @param ret_op  On success the operation; the caller releases it with bv_op_unref().
 * @return 0, BV_E_INVALID, BV_E_NOMEM, BV_E_IO.
 * @since 0.1
 */
BV_API int bv_download_start(bv_ctx *ctx, const bv_download_opts *opts, bv_transfer_done_fn done,
                             bv_op **ret_op, bv_error **err);

typedef struct bv_upload_opts {
    size_t size;       /**< sizeof(bv_upload_opts); lets the struct grow. All strings are copied. */
    const char *store; /**< The store's URI. */
    const char *key;   /**< The archive's key in it. */
    uint64_t data_version; /**< 0: the next one. */
    const char
        *source_dir; /**< Nothing may write to it meanwhile; if something does, the upload fails. */
    const char *state_dir;      /**< NULL: "<source_dir>.transfer". Made when missing. */
    const char *const *exclude; /**< Patterns of paths to leave out, NULL-terminated; NULL: none. */
    uint32_t number_of_chunks;  /**< 0: one more for each 500 MB. */
    int32_t stored;             /**< Not 0: do not compress. */
    int32_t zstd_level;         /**< 0: BV_TRANSFER_ZSTD_LEVEL_DEFAULT. */
    uint32_t max_connections;   /**< 0: BV_TRANSFER_CONNECTIONS_DEFAULT. */
    uint32_t max_runners;       /**< 0: BV_TRANSFER_RUNNERS_DEFAULT. */
    uint32_t memory_mib;        /**< 0: BV_TRANSFER_MEMORY_MIB_DEFAULT. */
    uint64_t bytes_per_s;       /**< Limit for the network; 0: none. */
    bv_transfer_status_fn status; /**< Optional. */
    void *data;                   /**< Last argument of every callback. */
    int32_t space_wait_secs;      /**< How long it waits for room on a full disk; 0:
                                       BV_TRANSFER_SPACE_WAIT_SECS_DEFAULT. */
    const bv_s3_keys *s3_keys;    /**< NULL: as the store's URI says. */
    int32_t format;               /**< A bv_format. */
    int32_t codec;                /**< A bv_codec; its level is zstd_level. */
    /* The rest is for snapshots; for an archive it is refused (BV_E_UNSUPPORTED). */
    const char *const *protect; /**< Patterns of paths that never enter the snapshot, besides those
                                   that never do; as for downloads. */
    const char *sign_key_file;  /**< PEM: the Ed25519 key to sign with. */
    const char *const *gate;    /**< A command and its arguments, NULL-terminated: run on the
                                   directory before the version becomes visible; unless it exits
                                   with 0 there is no version. */
    int32_t rehash;             /**< Not 0: read all files, also those that seem unchanged. */
    int32_t no_owner;           /**< Not 0: owners are not recorded. */
    int32_t xattrs;             /**< Not 0: record extended attributes. */
} bv_upload_opts;

#define BV_UPLOAD_OPTS_INIT                                                                        \
    {                                                                                              \
        .size = sizeof(bv_upload_opts)                                                             \
    }

/**
 * Puts a directory's regular files into a store as a new version of an archive.
 *
 * @param done    Errors worth handling: BV_E_EXISTS (the version is complete), BV_E_BUSY (another
 * upload has reserved it, or uses the state directory), BV_E_STATE (a file changed meanwhile),
 * BV_E_DENIED, BV_E_CANCELLED. On success the status names the new version.
 * @param ret_op  On success the operation; the caller releases it with bv_op_unref().
 * @return 0, BV_E_INVALID, BV_E_NOMEM, BV_E_IO.
 * @since 0.1
 */
BV_API int bv_upload_start(bv_ctx *ctx, const bv_upload_opts *opts, bv_transfer_done_fn done,
                           bv_op **ret_op, bv_error **err);

/**
 * What a verification finds: @p len bytes at @p pos of a file are not what they should be, or, when
 * @p len is 0, an entry as a whole. Valid during the call only, which comes from dispatch.
 */
typedef void (*bv_differs_fn)(bv_op *op, const char *path, uint64_t pos, uint64_t len, void *data);

typedef struct bv_verify_opts {
    size_t size;       /**< sizeof(bv_verify_opts); lets the struct grow. All strings are copied. */
    const char *store; /**< The store's URI. NULL: local_dir is compared with what the last download
                          into it, of a snapshot, was told. */
    const char *key;   /**< The archive's key in it. */
    uint64_t data_version;    /**< 0: the latest. */
    const char *local_dir;    /**< NULL: only the store. Otherwise its files are compared with the
                                 archive's. */
    uint32_t max_connections; /**< 0: BV_TRANSFER_CONNECTIONS_DEFAULT. */
    uint32_t max_runners;     /**< 0: BV_TRANSFER_RUNNERS_DEFAULT. */
    uint32_t memory_mib;      /**< 0: BV_TRANSFER_MEMORY_MIB_DEFAULT. */
    bv_transfer_status_fn status; /**< Optional. */
    void *data;                   /**< Last argument of every callback. */
    const bv_s3_keys *s3_keys;    /**< NULL: as the store's URI says. */
    int32_t format;               /**< A bv_format; versions of another one do not exist then. */
    /* The rest is for snapshots; with an archive it is refused (BV_E_UNSUPPORTED). */
    const char *const *mirrors;  /**< As for downloads. */
    const char *const *protect;  /**< As for downloads: these may differ. */
    const char *verify_key_file; /**< PEM: refuse what this Ed25519 key did not sign. */
    const char *state_dir;       /**< With local_dir and no store: what the download left there says
                                    what the directory should be. NULL: "<local_dir>.transfer". */
    bv_differs_fn differs; /**< Optional: hears of all that is wrong, not only of the first. */
} bv_verify_opts;

#define BV_VERIFY_OPTS_INIT                                                                        \
    {                                                                                              \
        .size = sizeof(bv_verify_opts)                                                             \
    }

/**
 * Reads every chunk of a version and checks manifest, sizes and checksums.
 *
 * @param done  BV_E_CHECKSUM names the first chunk or file that is not what it should be.
 * @since 0.1
 */
BV_API int bv_snapshot_verify_start(bv_ctx *ctx, const bv_verify_opts *opts,
                                    bv_transfer_done_fn done, bv_op **ret_op, bv_error **err);

BV_END_DECLS

#endif
