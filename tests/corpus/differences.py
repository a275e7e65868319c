"""Where we and Dovecot 2.3.19 differ on the collected messages, and why ours is kept.

Reason: (message, FETCH item). The test fails for a difference that is not here and for an
entry that does not occur.
"""

from __future__ import annotations

DIFFERENCES: dict[str, tuple[tuple[str, str], ...]] = {
    (
        "RFC 2045 section 5.2: a Content-Type that cannot be read means text/plain. Dovecot shows the "
        'type ""; where only the parameters are broken we keep the type as well.'
    ): (
        ("deb-golang-github-jhillyerd-enmime-dev/mail/mime-bad-content-type.raw", "BODY"),
        ("deb-golang-github-jhillyerd-enmime-dev/mail/mime-bad-content-type.raw", "BODYSTRUCTURE"),
        ("deb-golang-github-jhillyerd-enmime-dev/mail/mime-blank-media-name.raw", "BODY"),
        ("deb-golang-github-jhillyerd-enmime-dev/mail/mime-blank-media-name.raw", "BODYSTRUCTURE"),
        ("deb-golang-github-jhillyerd-enmime-dev/parts/barren-content-type.raw", "BODY"),
        ("deb-golang-github-jhillyerd-enmime-dev/parts/barren-content-type.raw", "BODYSTRUCTURE"),
        ("deb-golang-github-jhillyerd-enmime-dev/parts/empty-ctype-bad-content.raw", "BODY"),
        ("deb-golang-github-jhillyerd-enmime-dev/parts/empty-ctype-bad-content.raw", "BODYSTRUCTURE"),
        ("deb-libpython3.11-testsuite/data/msg_14.txt", "BODY"),
        ("deb-libpython3.11-testsuite/data/msg_14.txt", "BODYSTRUCTURE"),
    ),
    (
        "A quoted parameter that is never closed: we keep what there is of it (it may be a file name "
        "that policy has to see), Dovecot drops it."
    ): (
        ("deb-golang-github-jhillyerd-enmime-dev/parts/missing-closing-param-quote.raw", "BODY"),
        ("deb-golang-github-jhillyerd-enmime-dev/parts/missing-closing-param-quote.raw", "BODYSTRUCTURE"),
    ),
    (
        "RFC 2231 section 4.1: pieces that were not percent-encoded are encoded when they join pieces "
        "that were, so that the value decodes to itself. Dovecot joins them as they are."
    ): (
        ("deb-libpython3.11-testsuite/data/msg_29.txt", "BODY"),
        ("deb-libpython3.11-testsuite/data/msg_29.txt", "BODYSTRUCTURE"),
    ),
    (
        "RFC 2046 section 5.1.1: the line end before a boundary line belongs to the boundary. Dovecot "
        "gives a multipart that ends with its closing line, and an embedded message that ends so, "
        "that line end too, and counts it in the size of the embedded message. Signatures over such a "
        "part are made without it."
    ): (
        ("deb-golang-github-jhillyerd-enmime-dev/mail/mime-mixed-related.raw", "BODY[1.1]"),
        ("deb-golang-github-jhillyerd-enmime-dev/mail/mime-mixed-related.raw", "BODY[2]"),
        ("deb-golang-github-jhillyerd-enmime-dev/mail/mime-signed.raw", "BODY[1]"),
        ("deb-golang-github-jhillyerd-enmime-dev/parts/nestedmulti.raw", "BODY[2]"),
        ("deb-golang-github-jhillyerd-enmime-dev/parts/similar-boundary.raw", "BODY[2]"),
        ("deb-libpython3.11-testsuite/data/msg_38.txt", "BODY[1]"),
        ("npm-wildduck-1.46.1/fixtures/fix2.eml", "BODY"),
        ("npm-wildduck-1.46.1/fixtures/fix2.eml", "BODYSTRUCTURE"),
        ("npm-wildduck-1.46.1/fixtures/fix2.eml", "BODY[10]"),
        (
            "pypi-django-mailbox-4.10.1/messages/message_with_defective_attachment_association.eml",
            "BODY[2]",
        ),
        (
            "pypi-django-mailbox-4.10.1/messages/message_with_defective_attachment_association_result.eml",
            "BODY[2]",
        ),
        ("pypi-django-mailbox-4.10.1/messages/message_with_many_multiparts.eml", "BODY[2]"),
        ("pypi-django-mailbox-4.10.1/messages/message_with_many_multiparts_stripped_html.eml", "BODY[2]"),
        ("pypi-django-mailbox-4.10.1/messages/message_with_text_attachment.eml", "BODY[1]"),
        ("pypi-flufl.bounce-6.0.0/data/dsn_13.txt", "BODY"),
        ("pypi-flufl.bounce-6.0.0/data/dsn_13.txt", "BODYSTRUCTURE"),
        ("pypi-flufl.bounce-6.0.0/data/dsn_13.txt", "BODY[1.3.2]"),
        ("pypi-flufl.bounce-6.0.0/data/dsn_13.txt", "BODY[1]"),
        ("pypi-flufl.bounce-6.0.0/data/dsn_14.txt", "BODY"),
        ("pypi-flufl.bounce-6.0.0/data/dsn_14.txt", "BODYSTRUCTURE"),
        ("pypi-flufl.bounce-6.0.0/data/dsn_14.txt", "BODY[3]"),
        ("pypi-mail-parser-4.8.0/mails/mail_test_10", "BODY[1.1]"),
        ("pypi-mail-parser-4.8.0/mails/mail_test_10", "BODY[1]"),
        ("pypi-mail-parser-4.8.0/mails/mail_test_5", "BODY[2]"),
        ("pypi-mail-parser-4.8.0/mails/mail_test_7", "BODY[1]"),
    ),
    ("White space at the ends of an unstructured value is folding, no content; Dovecot keeps it here."): (
        ("pypi-flufl.bounce-6.0.0/data/microsoft_01.txt", "ENVELOPE"),
        ("pypi-flufl.bounce-6.0.0/data/microsoft_04.txt", "ENVELOPE"),
        ("pypi-flufl.bounce-6.0.0/data/yahoo_13.txt", "ENVELOPE"),
    ),
    (
        "`a@b <c@d>` is no address: Dovecot shows the first one, which a sender can forge; we show "
        "c@d, where mail really goes, with a@b as its display name."
    ): (
        ("pypi-mail-parser-4.8.0/mails/mail_test_15", "ENVELOPE"),
        ("pypi-mail-parser-4.8.0/mails/mail_test_19", "ENVELOPE"),
    ),
    (
        "The header of a part ends with its empty line (RFC 3501 section 6.4.5 shows MIME with it). "
        "Dovecot leaves it out when a boundary line follows at once, and yet counts it in the size of "
        "the part around."
    ): (
        ("deb-libpython3.11-testsuite/data/msg_12.txt", "BODY[3.2.MIME]"),
        (
            "pypi-django-mailbox-4.10.1/messages/message_with_defective_attachment_association.eml",
            "BODY[2.2.MIME]",
        ),
        (
            "pypi-django-mailbox-4.10.1/messages/message_with_defective_attachment_association_result.eml",
            "BODY[2.2.MIME]",
        ),
        (
            "pypi-django-mailbox-4.10.1/messages/message_with_many_multiparts_stripped_html.eml",
            "BODY[2.2.MIME]",
        ),
        ("pypi-flufl.bounce-6.0.0/data/dsn_14.txt", "BODY[3.2.1.MIME]"),
        ("pypi-flufl.bounce-6.0.0/data/dsn_15.txt", "BODY[1.3.2.1.MIME]"),
        ("pypi-flufl.bounce-6.0.0/data/dsn_16.txt", "BODY[3.1.MIME]"),
        ("pypi-flufl.bounce-6.0.0/data/groupwise_02.txt", "BODY[2.1.MIME]"),
        ("pypi-flufl.bounce-6.0.0/data/hotpop_01.txt", "BODY[2.1.MIME]"),
        ("pypi-flufl.bounce-6.0.0/data/microsoft_01.txt", "BODY[2.1.MIME]"),
        ("pypi-flufl.bounce-6.0.0/data/microsoft_04.txt", "BODY[2.1.MIME]"),
        ("pypi-flufl.bounce-6.0.0/data/netscape_01.txt", "BODY[3.1.MIME]"),
        ("pypi-flufl.bounce-6.0.0/data/postfix_01.txt", "BODY[2.1.MIME]"),
        ("pypi-flufl.bounce-6.0.0/data/postfix_03.txt", "BODY[2.1.MIME]"),
        ("pypi-flufl.bounce-6.0.0/data/postfix_04.txt", "BODY[2.1.MIME]"),
        ("pypi-flufl.bounce-6.0.0/data/postfix_05.txt", "BODY[2.1.MIME]"),
        ("pypi-flufl.bounce-6.0.0/data/simple_15.txt", "BODY[2.1.MIME]"),
        ("pypi-flufl.bounce-6.0.0/data/simple_19.txt", "BODY[2.1.MIME]"),
        ("pypi-flufl.bounce-6.0.0/data/simple_25.txt", "BODY[2.1.MIME]"),
        ("pypi-flufl.bounce-6.0.0/data/simple_27.txt", "BODY[2.1.MIME]"),
        ("pypi-flufl.bounce-6.0.0/data/simple_31.txt", "BODY[3.1.MIME]"),
        ("pypi-flufl.bounce-6.0.0/data/simple_38.txt", "BODY[3.1.MIME]"),
        ("pypi-flufl.bounce-6.0.0/data/sina_01.txt", "BODY[2.1.MIME]"),
        ("pypi-mailman-3.3.10/data/c_a_non_ascii.eml", "BODY[2.MIME]"),
    ),
}
