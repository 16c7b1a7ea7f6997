/* Answers of S3 servers, whole, broken and hostile. */
#include <stdlib.h>

#include "bvt.h"
#include "transfer/s3_xml.h"

#define OBJECT(key)                                                                                \
    "<Contents><Key>" key "</Key><LastModified>2024-01-02T03:04:05.678Z</LastModified>"            \
    "<ETag>&quot;x&quot;</ETag><Size>42</Size><Owner><ID>me</ID></Owner></Contents>"

static int parse(const char *text, bvi_s3_page *page, bv_error **err)
{
    bvi_s3_page_init(page);
    return bvi_s3_page_parse(text, strlen(text), page, err);
}

START_TEST(a_page)
{
    bvi_s3_page page;
    bv_error *err = NULL;

    bvt_assert_ok(parse("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                        "<ListBucketResult xmlns=\"http://s3.example/doc/\"><!-- > --><Name>b"
                        "</Name><Prefix/><KeyCount >2</KeyCount ><IsTruncated>true</IsTruncated>"
                        "<NextContinuationToken>a&amp;b</NextContinuationToken>" OBJECT(
                            "k/1/a&lt;&#x263a;&#65;") OBJECT("k/2/b") "</ListBucketResult>\n",
                        &page, &err),
                  err);
    ck_assert_uint_eq(page.objects.len, 2);
    ck_assert_str_eq(page.objects.items[0].key, "k/1/a<\xe2\x98\xba"
                                                "A");
    ck_assert_uint_eq(page.objects.items[0].size, 42);
    ck_assert_int_eq(page.objects.items[0].modified_us, 1704164645678000);
    ck_assert_str_eq(page.objects.items[1].key, "k/2/b");
    ck_assert_str_eq(page.next, "a&b");
    bvi_s3_page_done(&page);
}
END_TEST

START_TEST(the_last_page)
{
    bvi_s3_page page;

    ck_assert_int_eq(parse("<ListBucketResult><NextContinuationToken>x</NextContinuationToken>"
                           "<IsTruncated>false</IsTruncated></ListBucketResult>",
                           &page, NULL),
                     0);
    ck_assert_uint_eq(page.objects.len, 0);
    ck_assert_ptr_null(page.next);
    bvi_s3_page_done(&page);
}
END_TEST

static const struct {
    const char *text;
    const char *says;
} broken[] = {
    { "", "too early" },
    { "nonsense", "text outside" },
    { "<a>", "too early" },
    { "<a></b>", "another element" },
    { "</a>", "without a start" },
    { "<a></a><b></b>", "second document" },
    { "<a></a>x", "text outside" },
    { "<a", "does not end" },
    { "<a x='>", "does not end" },
    { "<a <b>", "does not end" },
    { "<>", "without a name" },
    { "<a!>", "wrong character" },
    { "<a></a", "does not end" },
    { "<a>&bad;</a>", "entity" },
    { "<a>&#0;</a>", "number" },
    { "<a>&#xd800;</a>", "number" },
    { "<a>&#;</a>", "number" },
    { "<a>&#-1;</a>", "number" },
    { "<a>&#x110000;</a>", "number" },
    { "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "not accepted" },
    { "<a><![CDATA[x]]></a>", "not accepted" },
    { "<a><b><c><d><e><f><g><h><i><j><k><l><m><n><o><p><q>", "in each other" },
    { "<Error><Code>x</Code></Error>", "not a listing" },
    { "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>", "say where" },
    { "<ListBucketResult><Contents><Key>k</Key></Contents></ListBucketResult>", "without a key" },
    { "<ListBucketResult><Contents><Size>-1</Size></Contents></ListBucketResult>", "the size" },
    { "<ListBucketResult><Contents><Size>99999999999999999999</Size></Contents>"
      "</ListBucketResult>",
      "the size" },
    { "<ListBucketResult><Contents><LastModified>now</LastModified></Contents>"
      "</ListBucketResult>",
      "the time" },
};

START_TEST(broken_pages)
{
    bvi_s3_page page;
    bv_error *err = NULL;

    ck_assert_int_lt(parse(broken[_i].text, &page, &err), 0);
    bvt_assert_error_says(err, bv_error_code(err), broken[_i].says);
    bv_error_free(err);
    bvi_s3_page_done(&page);
}
END_TEST

START_TEST(too_much)
{
    size_t len = 3 * BVI_S3_XML_TEXT_MAX;
    char *text = malloc(len + 1);
    bvi_s3_page page;

    memset(text, 'x', len);
    memcpy(text, "<a>", 3);
    text[len] = '\0';
    ck_assert_int_eq(parse(text, &page, NULL), BV_E_LIMIT); /* a text */
    memset(text, 'x', len);
    text[0] = '<';
    text[len - 1] = '>';
    ck_assert_int_eq(parse(text, &page, NULL), BV_E_LIMIT); /* a path */
    free(text);
}
END_TEST

START_TEST(errors)
{
    static const char text[] = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>"
                               "no\nway</Message><Token-0>secret</Token-0></Error>";
    bvi_s3_error error;

    ck_assert(bvi_s3_error_parse(text, sizeof(text) - 1, &error));
    ck_assert_str_eq(error.code, "AccessDenied");
    ck_assert_str_eq(error.message, "no way");
    ck_assert(!bvi_s3_error_parse("<html></html>", 13, &error));
    ck_assert(!bvi_s3_error_parse("oops", 4, &error));
}
END_TEST

START_TEST(upload_ids)
{
    static const char text[] = "<InitiateMultipartUploadResult><UploadId>abc</UploadId>"
                               "</InitiateMultipartUploadResult>";
    char *id = NULL;

    ck_assert_int_eq(bvi_s3_upload_id_parse(text, sizeof(text) - 1, &id, NULL), 0);
    ck_assert_str_eq(id, "abc");
    bvi_free(id);
    ck_assert_int_eq(bvi_s3_upload_id_parse("<a/>", 4, &id, NULL), BV_E_FORMAT);
}
END_TEST

START_TEST(allocations_fail)
{
    static const char text[] =
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>x"
        "</NextContinuationToken>" OBJECT("a") "</ListBucketResult>";

    bvt_for_each_failed_allocation(n) {
        bvi_s3_page page;
        bv_error *err = NULL;

        ck_assert_int_eq(parse(text, &page, &err), bv_error_code(err));
        bv_error_free(err);
        bvi_s3_page_done(&page);
    }
}
END_TEST

BVT_MAIN("transfer/s3_xml", bvt_test(a_page), bvt_test(the_last_page),
         bvt_loop(broken_pages, broken), bvt_test(too_much), bvt_test(errors), bvt_test(upload_ids),
         bvt_test(allocations_fail))
