/**
 * @file blockvisor/export.h
 * Which symbols the library shows, and which version it is.
 */
#ifndef BLOCKVISOR_EXPORT_H
#define BLOCKVISOR_EXPORT_H

#ifdef __cplusplus
#define BV_BEGIN_DECLS extern "C" {
#define BV_END_DECLS   }
#else
#define BV_BEGIN_DECLS
#define BV_END_DECLS
#endif

/** Marks a function as part of the public interface; everything else is hidden. */
#define BV_API __attribute__((visibility("default")))

#if defined(__GNUC__) || defined(__clang__)
#define BV_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define BV_PRINTF(fmt, args)
#endif

/** The version this header belongs to: major * 1000000 + minor * 1000 + patch. */
#define BV_VERSION_NUMBER 1000

BV_BEGIN_DECLS

/**
 * The version of the library that is loaded, for example "0.1.0".
 *
 * @return a static string. Any thread.
 * @since 0.1
 */
BV_API const char *bv_version(void);

BV_END_DECLS

#endif
