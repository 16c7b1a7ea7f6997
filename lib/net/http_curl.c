/*
 * http_curl.c - opens libcurl and looks its functions up.
 */
#include "net/http_curl.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

/* The sonames in use: libcurl4 with OpenSSL, and with GnuTLS. */
static const char *const sonames[] = { "libcurl.so.4", "libcurl-gnutls.so.4" };

/* A program that is linked with libcurl has it already, and its own copy counts. */
static bool is_linked(void)
{
    return dlsym(RTLD_DEFAULT, "curl_global_init") != NULL;
}

static void *open_any(void)
{
    void *object = NULL;

    for (size_t i = 0; !object && i < sizeof(sonames) / sizeof(sonames[0]); i++)
        object = dlopen(sonames[i], RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
    return object;
}

/* A function pointer out of dlsym(): ISO C has no cast for that, POSIX says it fits. */
static int look_up(void *object, const char *name, void *ret_function, bv_error **err)
{
    void *found = dlsym(object, name);

    if (!found)
        return bvi_fail(err, BV_E_UNSUPPORTED,
                        "the installed libcurl has no '%s': version 7.88 or newer is needed", name);
    memcpy(ret_function, &found, sizeof(found));
    return 0;
}

int bvi_curl_load(bvi_curl_lib *lib, bv_error **err)
{
    bool linked = is_linked();
    void *object = linked ? RTLD_DEFAULT : open_any();
    int r = 0;

    if (!linked && !object)
        return bvi_fail(err, BV_E_UNSUPPORTED,
                        "libcurl cannot be loaded: install the package libcurl4 (%s)", dlerror());
#define X(name)                                                                                    \
    if (r == 0)                                                                                    \
        r = look_up(object, "curl_" #name, &lib->name, err);
    BVI_CURL_FUNCTIONS(X)
#undef X
    if (!linked)
        (void)dlclose(object); /* it stays loaded, see RTLD_NODELETE */
    return r;
}
